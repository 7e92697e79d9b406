// Request and answer as JSON, and the same call with other tools, each in a tab, ready to copy.

import { answerAt, requestBody } from "./answer.js";
import { byId, make, moveByArrows } from "./dom.js";
import { base64 } from "./photo.js";
import { endpoint } from "./server.js";
import { snippets } from "./snippets.js";

let tabs = [];
let chosen = 0;

/** Shows the code of a comparison. A tab has {name, text()} and, where the copy is to have more, `whole()`. */
export function showCode({ source, target, answer, threshold, filter, session, about }) {
	const stand = (photo) => `(base64 of ${photo.name}, ${photo.bytes.toLocaleString("en")} bytes)`;
	const request = (from, to) => json(requestBody({ source: from, target: to, threshold, filter }));
	const call = { endpoint: endpoint.replace(/\/$/, ""), region: session.region, signed: about.signed, threshold, filter };
	tabs = [
		{
			name: "Request",
			text: () => request(stand(source), stand(target)),
			whole: async () => request(await base64(source), await base64(target)),
		},
		{ name: "Answer", text: () => json(answerAt(answer, threshold)) },
		...snippets({ ...call, source: source.name, target: target.name }).map(({ name, text }) => ({ name, text: () => text })),
	];
	byId("code").hidden = false;
	const list = byId("code-tabs");
	if (!list.children.length) {
		list.append(...tabs.map(({ name }, index) =>
			make("button", { role: "tab", id: `tab-${index}`, "aria-controls": "code-panel", click: () => choose(index) }, name)));
	}
	choose(chosen);
}

const json = (value) => JSON.stringify(value, null, 2);

function choose(index) {
	chosen = index;
	[...byId("code-tabs").children].forEach((tab, at) => {
		tab.setAttribute("aria-selected", at === index);
		tab.tabIndex = at === index ? 0 : -1;
	});
	byId("code-panel").setAttribute("aria-labelledby", `tab-${index}`);
	byId("code-panel").firstElementChild.textContent = tabs[index].text();
	byId("copied").textContent = "";
}

moveByArrows(byId("code-tabs"), () => [...byId("code-tabs").children], choose);
byId("copy").addEventListener("click", async () => {
	const { text, whole } = tabs[chosen];
	try {
		await navigator.clipboard.writeText(whole ? await whole() : text());
		byId("copied").textContent = "Copied";
	} catch {
		getSelection().selectAllChildren(byId("code-panel").firstElementChild);
		byId("copied").textContent = "Selected: press Ctrl+C or ⌘C";
	}
});
