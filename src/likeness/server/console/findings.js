// What was found, in words and figures: the table of all faces, and one face in detail.

import { draw, make } from "./dom.js";
import { axes, poseInWords } from "./pose.js";
import { rarity, raritySentence } from "./promise.js";

const HEADINGS = ["#", "Result", "Similarity", "False match rate", "Pose", "Brightness", "Sharpness", "Emotion"];

/** A similarity as it is shown: never rounded up to 100. */
export const shown = (similarity) => (similarity === 100 ? "100" : (Math.floor(similarity * 100) / 100).toFixed(2));

/** "match", or "no match", with the sign that stands beside the colour. */
export const verdict = (matched) => (matched ? "✓ match" : "✕ no match");

/** Fills `table` with the faces, in their order. `choose(index)` is told of a row that is chosen. */
export function fillTable(table, faces, promise, choose) {
	const body = faces.map(({ similarity, face }, index) => {
		const emotion = strongest(face);
		const row = make("tr", { click: () => choose(index) },
			make("th", { scope: "row" }, make("button", { class: "row-button" }, String(index + 1))),
			make("td", { class: "verdict" }),
			make("td", { class: "figure" }, shown(similarity)),
			make("td", {}, rarity(promise, similarity)),
			make("td", {}, poseInWords(face.Pose)),
			barCell(face.Quality.Brightness),
			barCell(face.Quality.Sharpness),
			emotion ? barCell(emotion.Confidence, lower(emotion.Type)) : make("td", {}, "not asked"));
		return row;
	});
	table.replaceChildren(
		make("caption", {}, "Faces of the target photo, the most similar first"),
		make("thead", {}, make("tr", {}, ...HEADINGS.map((text) => make("th", { scope: "col" }, text)))),
		make("tbody", {}, ...body));
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
export function targetDetails({ similarity, face, matched }, number, promise, threshold) {
	return [
		make("h2", {}, `Face ${number}`),
		make("p", { class: "similarity", "data-kind": matched ? "match" : "other" },
			make("strong", {}, shown(similarity)), ` ${verdict(matched)} at threshold ${threshold}`),
		make("p", {}, raritySentence(promise, similarity)),
		...features(face),
	];
}

/** The source face in detail; `face` may have nothing but its box. */
export function sourceDetails(face) {
	const told = face.Pose ? features(face) : [make("p", {}, "Its details are being asked for.")];
	return [make("h2", {}, "Source face"), make("p", {}, "The largest face of the source photo."), ...told];
}

function features(face) {
	const { Pose: pose, Quality: quality, Emotions: emotions = [], Smile: smile } = face;
	const bars = [["Brightness", quality.Brightness], ["Sharpness", quality.Sharpness], ["Confidence", face.Confidence]];
	const feelings = emotions.map(({ Type, Confidence }) => [lower(Type), Confidence]);
	return [
		make("div", { class: "features" },
			make("div", {}, make("h3", {}, "Pose"), axesPicture(pose), make("p", {}, poseInWords(pose)),
				make("p", { class: "small" }, `yaw ${degrees(pose.Yaw)}, pitch ${degrees(pose.Pitch)}, roll ${degrees(pose.Roll)}`)),
			make("div", {}, make("h3", {}, "Quality"), barList(bars)),
			...(feelings.length ? [make("div", {}, make("h3", {}, "Looks"), barList(feelings),
				...(smile ? [make("p", { class: "small" }, `${smile.Value ? "Smiles" : "Does not smile"} (${smile.Confidence.toFixed(0)} %)`)] : []))] : [])),
	];
}

function axesPicture(pose) {
	const names = { right: "x", up: "y", nose: "z" };
	const lines = Object.entries(axes(pose)).flatMap(([axis, [x, y]]) => [
		draw("path", { class: `axis ${axis}`, d: `M0 0L${x * 30} ${y * 30}` }),
		draw("text", { class: axis, x: x * 40, y: y * 40 + 4, "text-anchor": "middle" }, names[axis]),
	]);
	return draw("svg", { class: "axes", viewBox: "-50 -50 100 100", role: "img", "aria-label": poseInWords(pose) }, ...lines);
}

const barList = (bars) =>
	make("dl", { class: "bars" }, ...bars.flatMap(([name, value]) => [
		make("dt", {}, name),
		make("dd", { class: "bar", style: { "--value": `${value}%` } }, value.toFixed(0)),
	]));

const barCell = (value, name = "") =>
	make("td", { class: "bar", style: { "--value": `${value}%` } }, `${name} ${value.toFixed(0)}`.trim());

const strongest = ({ Emotions: emotions = [] }) =>
	emotions.reduce((best, each) => (best && best.Confidence >= each.Confidence ? best : each), null);
const lower = (text) => text.toLowerCase();
const degrees = (angle) => `${angle < 0 ? "−" : ""}${Math.abs(angle).toFixed(0)}°`;
