// Request and answer as JSON, and the same call with other tools, each in a tab, ready to copy.

import { answerAt, requestBody } from "./answer.js";
import { byId, make, moveByArrows } from "./dom.js";
import { base64 } from "./photo.js";
import { endpoint } from "./server.js";
import { snippets } from "./snippets.js";

const [list, panel, copied] = [byId("code-tabs"), byId("code-panel"), byId("copied")];
const json = (value) => JSON.stringify(value, null, 2);
let tabs = [];
let chosen = 0;

/** Shows the code of a comparison. A tab has {name, text()} and, where the copy is to have more, `whole()`. */
export function showCode({ source, target, answer, threshold, filter, session: { region }, about: { signed } }) {
	const request = (from, to) => json(requestBody({ source: from, target: to, threshold, filter }));
	const stand = ({ name, bytes }) => `(base64 of ${name}, ${bytes.toLocaleString("en")} bytes)`;
	const call = { endpoint: endpoint.replace(/\/$/, ""), region, signed, threshold, filter, source: source.name, target: target.name };
	const whole = async () => request(await base64(source), await base64(target));
	tabs = [
		{ name: "Request", text: () => request(stand(source), stand(target)), whole },
		{ name: "Answer", text: () => json(answerAt(answer, threshold)) },
		...snippets(call).map(({ name, text }) => ({ name, text: () => text })),
	];
	byId("code").hidden = false;
	if (!list.children.length) {
		const tab = ({ name }, index) =>
			make("button", { role: "tab", id: `tab-${index}`, "aria-controls": panel.id, click: () => choose(index) }, name);
		list.append(...tabs.map(tab));
	}
	choose(chosen);
}

function choose(index) {
	chosen = index;
	[...list.children].forEach((tab, at) => {
		tab.setAttribute("aria-selected", at === index);
		tab.tabIndex = at === index ? 0 : -1;
	});
	panel.setAttribute("aria-labelledby", `tab-${index}`);
	panel.firstChild.textContent = tabs[index].text();
	copied.textContent = "";
}

moveByArrows(list, () => [...list.children], choose);
byId("copy").addEventListener("click", async () => {
	const { text, whole = text } = tabs[chosen];
	try {
		await navigator.clipboard.writeText(await whole());
		copied.textContent = "Copied";
	} catch {
		getSelection().selectAllChildren(panel);
		copied.textContent = "Selected: press Ctrl+C or ⌘C";
	}
});
