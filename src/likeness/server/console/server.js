// The server: what it says about itself, and one comparison.

import { requestBody } from "./answer.js";
import { signedHeaders } from "./signing.js";

const HEADERS = {
	"Content-Type": "application/x-amz-json-1.1",
	"X-Amz-Target": "RekognitionService.CompareFaces",
};

/** Where this page's server takes requests. */
export const endpoint = new URL(".", location.href).href;

/** Settings, limits and the promise; asked again until the engine is loaded: `onNews` is told each time. */
export async function watchServer(onNews) {
	for (;;) {
		const response = await fetch("console/server.json", { cache: "no-store" }).catch(() => null);
		const about = response?.ok ? await response.json() : null;
		if (about) onNews(about);
		if (about?.ready) return;
		await new Promise((resolve) => setTimeout(resolve, 500));
	}
}

/**
 * One comparison at threshold 0. `session` is {keys, region}, keys null where nothing is signed. Returns {status, answer}
 * or {status, code, text, date}, both with requestId and arrived (ms); throws only when `signal` is aborted.
 */
export async function compare({ source, target, filter, session, signal, about }) {
	const body = new TextEncoder().encode(JSON.stringify(requestBody({ source, target, threshold: 0, filter })));
	// A body that the server would refuse unread is not sent: browsers lose the answer to one that is cut off.
	if (body.length > about.max_body_bytes) return { status: 413 };
	try {
		const { keys, region } = session;
		const headers = keys ? await signedHeaders({ keys, url: endpoint, headers: HEADERS, body, region }) : HEADERS;
		const response = await fetch(endpoint, { method: "POST", headers, body, signal, cache: "no-store" });
		return outcome(response, await response.text());
	} catch (error) {
		if (signal?.aborted) throw error;
		return { status: 0, code: "Unreachable", text: "" };
	}
}

function outcome(response, text) {
	const common = { status: response.status, requestId: response.headers.get("x-amzn-RequestId"), arrived: performance.now() };
	const members = readJson(text);
	if (response.ok && members) return { ...common, answer: members };
	return {
		...common,
		code: members?.__type ?? "",
		text: members?.Message ?? members?.message ?? "",
		date: response.headers.get("date"),
	};
}

function readJson(text) {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}
