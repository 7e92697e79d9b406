// What was found, in words and figures: the table of all faces, and one face in detail.

import { draw, make } from "./dom.js";
import { axes, poseInWords } from "./pose.js";
import { rarity, raritySentence } from "./promise.js";

const HEADINGS = ["#", "Result", "Similarity", "False match rate", "Pose", "Brightness", "Sharpness", "Emotion"];

/** A similarity as it is shown: never rounded up. */
export const shown = (similarity) => (similarity === 100 ? "100" : (Math.floor(similarity * 100) / 100).toFixed(2));
export const verdict = (matched) => (matched ? "✓ match" : "✕ no match");

/** Fills `table` with the faces; `choose(index)` is told of a row that is chosen. */
export function fillTable(table, faces, promise, choose) {
	const cell = (...content) => make("td", {}, ...content);
	const rows = faces.map(({ similarity, face: { Pose: pose, Quality: quality, Emotions: emotions } }, index) =>
		make("tr", { click: () => choose(index) },
			make("th", { scope: "row" }, make("button", { class: "row-button" }, index + 1)),
			make("td", { class: "verdict" }),
			make("td", { class: "figure" }, shown(similarity)),
			cell(rarity(promise, similarity)),
			cell(poseInWords(pose)),
			bar("td", quality.Brightness),
			bar("td", quality.Sharpness),
			emotions?.length ? bar("td", emotions[0].Confidence, emotions[0].Type.toLowerCase()) : cell()));
	table.replaceChildren(
		make("caption", {}, "Faces of the target photo, the most similar first"),
		make("thead", {}, make("tr", {}, ...HEADINGS.map((text) => make("th", { scope: "col" }, text)))),
		make("tbody", {}, ...rows));
}

/** Marks which rows match and which is chosen. */
export function markTable(table, faces, chosen) {
	[...table.tBodies[0].rows].forEach((row, index) => {
		const { matched } = faces[index];
		row.dataset.kind = matched ? "match" : "other";
		row.classList.toggle("chosen", index === chosen);
		row.cells[1].textContent = verdict(matched);
		const button = row.cells[0].firstChild;
		button.setAttribute("aria-pressed", index === chosen);
		button.tabIndex = index === Math.max(chosen, 0) ? 0 : -1;
	});
}

/** One face of the target in detail. */
export const targetDetails = ({ similarity, face, matched }, number, promise, threshold) => [
	make("h2", {}, `Face ${number}`),
	make("p", { class: "similarity", "data-kind": matched ? "match" : "other" },
		make("strong", {}, shown(similarity)), ` ${verdict(matched)} at threshold ${threshold}`),
	make("p", {}, raritySentence(promise, similarity)),
	features(face),
];

/** The source face in detail, as far as it is known. */
export const sourceDetails = (face) => [
	make("h2", {}, "Source face"),
	make("p", {}, "The largest face of the source photo."),
	face.Pose ? features(face) : "",
];

function features({ Pose: pose, Quality: quality, Confidence, Emotions: emotions, Smile: smile }) {
	const bars = (named) => make("dl", {}, ...Object.entries(named).flatMap(([name, value]) => [make("dt", {}, name), bar("dd", value)]));
	const part = (title, ...content) => make("div", {}, make("h3", {}, title), ...content);
	const looks = Object.fromEntries((emotions ?? []).map(({ Type, Confidence: value }) => [Type.toLowerCase(), value]));
	const smiles = smile ? `${smile.Value ? "Smiles" : "Does not smile"} (${smile.Confidence.toFixed(0)} %)` : "";
	const degrees = ["Yaw", "Pitch", "Roll"].map((angle) => `${angle.toLowerCase()} ${pose[angle].toFixed(0)}°`).join(", ");
	return make("div", { class: "features" },
		part("Pose", axesPicture(pose), make("p", {}, poseInWords(pose)), make("p", { class: "small" }, degrees)),
		part("Quality", bars({ ...quality, Confidence })),
		emotions ? part("Looks", bars(looks), make("p", { class: "small" }, smiles)) : "");
}

function axesPicture(pose) {
	const lines = Object.entries(axes(pose)).flatMap(([axis, [x, y]], index) => [
		draw("path", { class: axis, d: `M0 0L${x * 30} ${y * 30}` }),
		draw("text", { x: x * 40, y: y * 40 + 4, "text-anchor": "middle" }, "xyz"[index]),
	]);
	return draw("svg", { class: "axes", viewBox: "-50 -50 100 100", role: "img", "aria-label": poseInWords(pose) }, ...lines);
}

const bar = (tag, value, name = "") => make(tag, { class: "bar", style: { "--value": `${value}%` } }, `${name} ${value.toFixed(0)}`.trim());
