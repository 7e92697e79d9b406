// The results: the table of all faces, and one face in detail.

import { byId, make } from "./dom.js";
import { poseInWords } from "./pose.js";
import { inWords } from "./problems.js";
import { rarity, raritySentence } from "./promise.js";
import { state } from "./state.js";

const [table, status] = [byId("faces"), byId("status")];

// A similarity as displayed: never rounded up.
export const shown = (similarity) => (similarity === 100 ? "100" : (Math.floor(similarity * 100) / 100).toFixed(2));
export const verdict = (matched) => (matched ? "✓ match" : "✕ no match");
export const kind = (matched) => (matched ? "match" : "other");

export const showStatus = (...content) => status.replaceChildren(...content);

export function showProblem(failure) {
	const { title, text, reason } = inWords(failure, state.photos);
	const code = [failure.code || `status ${failure.status}`, failure.text].filter(Boolean).join(": ");
	showStatus(make("div", { class: "problem" },
		make("h2", {}, title), make("p", {}, text), make("p", {}, reason),
		make("p", { class: "small" }, "Code of the service: ", make("code", {}, code))));
}

export const fillTable = (faces) =>
	table.tBodies[0].replaceChildren(...faces.map(({ similarity, face }, index) =>
		make("tr", {},
			make("th", { scope: "row" }, make("label", {}, make("input", { type: "radio", name: "row" }), index + 1)),
			make("td", { class: "verdict" }),
			make("td", { class: "figure" }, shown(similarity)),
			make("td", {}, rarity(state.promise, similarity)),
			make("td", {}, poseInWords(face.Pose)))));

export const markTable = (faces, chosen) =>
	[...table.tBodies[0].rows].forEach((row, index) => {
		const { matched } = faces[index];
		row.dataset.kind = kind(matched);
		row.cells[1].textContent = verdict(matched);
		row.querySelector("input").checked = index === chosen;
	});

export function showTarget({ similarity, face, matched }, number) {
	const { promise, threshold } = state;
	showFace(`Face ${number}`, face,
		make("p", { class: "similarity", "data-kind": kind(matched) },
			make("strong", {}, shown(similarity)), ` ${verdict(matched)} at threshold ${threshold}`),
		make("p", {}, raritySentence(promise, similarity)));
}

export const showSource = (face) => showFace("Source face", face, make("p", {}, "The largest face of the source photo."));

const showFace = (title, face, ...about) =>
	byId("face").replaceChildren(make("h2", {}, title), ...about, face.Pose ? features(face) : "");

function features({ Pose, Quality, Confidence, Emotions = [] }) {
	const bars = (title, values) => make("div", {}, make("h3", {}, title), make("dl", {}, ...Object.entries(values).flatMap(([name, value]) =>
		[make("dt", {}, name), make("dd", {}, make("meter", { max: 100, value, "aria-hidden": true }), value.toFixed(0).padStart(4))])));
	return make("div", { class: "features" },
		make("div", {}, make("h3", {}, "Pose"), poseInWords(Pose)),
		bars("Quality", { ...Quality, Confidence }),
		Emotions.length ? bars("Looks", Object.fromEntries(Emotions.map((each) => [each.Type.toLowerCase(), each.Confidence]))) : "");
}
