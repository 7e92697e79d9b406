// Many requests: never more at once than the server runs, repeated patiently where it is busy, stopped at once.

const BUSY = new Set(["ThrottlingException", "ProvisionedThroughputExceededException", "TooManyRequestsException"]);
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 20_000;

/** Whether the server asks to come back later. */
export const isBusy = ({ status, code }) => BUSY.has(code) || status === 429 || status === 503;

/** How long to wait after so many refusals: twice as long each time, half of it by chance. */
export function pauseMs(refusals, random = Math.random()) {
	const whole = Math.min(FIRST_PAUSE_MS * 2 ** (refusals - 1), LONGEST_PAUSE_MS);
	return whole * (0.5 + random / 2);
}

/** What `ask` returns, asked again while the server is busy. `onPause(ms)` is told of each pause. */
export async function patiently(ask, { signal, onPause = () => {}, wait = sleep, attempts = 12 }) {
	for (let refusals = 1; ; refusals += 1) {
		const result = await ask();
		if (!isBusy(result) || refusals >= attempts) return result;
		const ms = pauseMs(refusals);
		onPause(ms);
		await wait(ms, signal);
	}
}

/** Calls `work(item)` for every item, at most `atOnce` at a time; takes up no more once `signal` is aborted. */
export async function eachAtMost(atOnce, items, work, signal) {
	const left = items[Symbol.iterator]();
	const worker = async () => {
		for (const item of left) {
			if (signal?.aborted) return;
			await work(item);
		}
	};
	await Promise.all(Array.from({ length: Math.max(1, atOnce) }, worker));
}

function sleep(ms, signal) {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(resolve, ms);
		signal?.addEventListener("abort", () => {
			clearTimeout(timer);
			reject(signal.reason);
		});
	});
}
