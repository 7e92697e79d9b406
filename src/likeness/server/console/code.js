// The call as JSON and for other tools, to copy.

import { answerAt, requestBody } from "./answer.js";
import { byId, make } from "./dom.js";
import { base64 } from "./photo.js";
import { endpoint } from "./server.js";
import { snippets } from "./snippets.js";
import { state } from "./state.js";

const [kinds, shown, copied] = [byId("code-kinds"), byId("code-text"), byId("copied")];
const json = (value) => JSON.stringify(value, null, 2);
const request = (source, target) => json(requestBody(source, target, state.threshold, state.filter));
let texts;
let chosen = "Request";

export function showCode(answer) {
	const { photos: { source, target }, threshold, filter, region, about: { signed } } = state;
	const stand = ({ name, bytes }) => `(base64 of ${name}, ${bytes.toLocaleString("en")} bytes)`;
	const call = { endpoint: endpoint.replace(/\/$/, ""), region, signed, threshold, filter, source: source.name, target: target.name };
	texts = {
		Request: request(stand(source), stand(target)),
		get Answer() { return json(answerAt(answer, threshold)); },
		...snippets(call),
	};
	byId("code").hidden = false;
	if (!kinds.children.length) {
		kinds.append(...Object.keys(texts).map((name) =>
			make("label", { class: "button" }, make("input", { type: "radio", name: "code", value: name, checked: name === chosen }), name)));
	}
	show();
}

function show() {
	shown.textContent = texts[chosen];
	copied.textContent = "";
}

kinds.addEventListener("change", ({ target }) => {
	chosen = target.value;
	show();
});
byId("copy").addEventListener("click", async () => {
	const { source, target } = state.photos;
	try {
		// The request is copied as it is sent, with its photos.
		const whole = chosen === "Request" ? request(await base64(source), await base64(target)) : texts[chosen];
		await navigator.clipboard.writeText(whole);
		copied.textContent = "Copied";
	} catch {
		getSelection().selectAllChildren(shown);
		copied.textContent = "Selected: press Ctrl+C or ⌘C";
	}
});
