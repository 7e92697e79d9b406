// The server: what it says about itself, and one comparison.

import { requestBody } from "./answer.js";
import { signedHeaders } from "./signing.js";

const HEADERS = { "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "RekognitionService.CompareFaces" };

/** Where this page's server takes requests. */
export const endpoint = new URL(".", location.href).href;

/** Tells `onNews` limits, settings and the promise, again until the engine is loaded. */
export async function watchServer(onNews) {
	for (let about; !about?.ready; ) {
		about = await fetch("console/server.json").then((response) => response.json()).catch(() => null);
		if (about) onNews(about);
		if (!about?.ready) await new Promise((resolve) => setTimeout(resolve, 500));
	}
}

/**
 * One comparison at threshold 0: {status, answer} or {status, code, text, date}, with requestId and arrived (ms). Throws
 * only when `signal` is aborted. `session` is {keys, region}; without keys nothing is signed.
 */
export async function compare({ source, target, filter, session: { keys, region }, signal, about }) {
	const body = new TextEncoder().encode(JSON.stringify(requestBody({ source, target, threshold: 0, filter })));
	// A body that the server refuses unread is not sent: browsers lose the answer to one that is cut off.
	if (body.length > about.max_body_bytes) return { status: 413 };
	try {
		const headers = keys ? await signedHeaders({ keys, url: endpoint, headers: HEADERS, body, region }) : HEADERS;
		const response = await fetch(endpoint, { method: "POST", headers, body, signal });
		return outcome(response, await response.text());
	} catch (error) {
		if (signal?.aborted) throw error;
		return { status: 0, code: "Unreachable" };
	}
}

function outcome({ ok, status, headers }, text) {
	const common = { status, requestId: headers.get("x-amzn-RequestId"), arrived: performance.now() };
	const { __type: code, Message, message, ...answer } = text.startsWith("{") ? JSON.parse(text) : {};
	return ok ? { ...common, answer } : { ...common, code, text: Message ?? message, date: headers.get("date") };
}
