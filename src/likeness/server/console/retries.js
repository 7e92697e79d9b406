// Many requests: few at once, retried while the server is busy, cancellable.

export const isBusy = ({ status, code }) =>
	/^(Throttling|ProvisionedThroughputExceeded)Exception$/.test(code) || status === 429 || status === 503;

// The delay after a number of refusals: exponential backoff, half of it random.
export const pauseMs = (refusals, random = Math.random()) => Math.min(500 * 2 ** (refusals - 1), 20_000) * (0.5 + random / 2);

// The result of `ask`, repeated while the server is busy; `onPause(text)` is called before each pause.
export async function retrying(ask, { signal, onPause = () => {}, wait = sleep, attempts = 3 }) {
	for (let refusals = 1; ; refusals += 1) {
		const result = await ask();
		if (!isBusy(result) || refusals >= attempts) return result;
		const ms = pauseMs(refusals);
		onPause(`The server is busy: trying again in ${(ms / 1000).toFixed(1)} s.`);
		await wait(ms, signal);
	}
}

// Calls `work` for every item, at most `atOnce` at a time; starts no more once `signal` is aborted.
export async function eachAtMost(atOnce, items, work, signal) {
	const left = items.values();
	await Promise.all(Array.from({ length: atOnce }, async () => {
		for (const item of left) if (!signal?.aborted) await work(item);
	}));
}

const sleep = (ms, signal) =>
	new Promise((resolve, reject) => {
		setTimeout(resolve, ms);
		signal?.addEventListener("abort", () => reject(signal.reason));
	});
