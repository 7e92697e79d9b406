// The server: its settings, and comparisons.

import { requestBody } from "./answer.js";
import { retrying } from "./retries.js";
import { base64 } from "./photo.js";
import { NO_FACE } from "./problems.js";
import { signedHeaders } from "./signing.js";
import { state } from "./state.js";

const HEADERS = { "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "RekognitionService.CompareFaces" };

export const endpoint = new URL(".", location.href).href;

// Calls `onNews` with the server's settings, repeatedly until the engine is loaded.
export async function watchServer(onNews) {
	for (let about; !about?.ready; ) {
		about = await fetch("console/server.json").then((response) => response.json()).catch(() => null);
		if (about) onNews(about);
		if (!about?.ready) await new Promise((resolve) => setTimeout(resolve, 500));
	}
}

// Two photos compared at threshold 0: {status, answer} or {status, code, text, date, faceless}, with requestId; null
// once `signal` is aborted. `faceless` is the side that has no face; `retry` is as in retries.js.
export async function compare(source, target, { signal, ...retry } = {}) {
	let result;
	try {
		const [from, to] = await Promise.all([source, target].map(base64));
		const body = new TextEncoder().encode(JSON.stringify(requestBody(from, to, 0, state.filter)));
		// A body that is too large is not sent: browsers lose the response when the server refuses it unread.
		if (body.length > state.about.max_body_bytes) return { status: 413 };
		result = await retrying(() => send(body, signal), { signal, ...retry });
		if (result.code === NO_FACE && source !== target) {
			const { answer, code } = await alone(source);
			result.faceless = answer ? "target" : code === NO_FACE ? "source" : undefined;
		}
	} catch {
		result = { status: 0, code: "Unreadable" };
	}
	return signal?.aborted ? null : result;
}

async function send(body, signal) {
	const { keys, region } = state;
	try {
		const signed = keys ? await signedHeaders({ keys, url: endpoint, headers: HEADERS, body, region }) : HEADERS;
		const response = await fetch(endpoint, { method: "POST", headers: signed, body, signal });
		const [{ ok, status, headers }, text] = [response, await response.text()];
		const { __type: code, Message, message, ...answer } = JSON.parse(text.startsWith("{") ? text : "{}");
		const requestId = headers.get("x-amzn-RequestId");
		return ok ? { status, requestId, answer } : { status, requestId, code, text: Message ?? message, date: headers.get("date") };
	} catch {
		return { status: 0, code: "Unreachable" };
	}
}

// A photo compared with itself, once: only this gives all details of a source face, or that there is none.
export async function alone(photo) {
	const result = await (photo.alone ??= compare(photo, photo));
	if (!result.answer && result.code !== NO_FACE) photo.alone = null;
	return result;
}
