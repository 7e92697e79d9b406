// The logarithmic scale: a mark for each face, and the threshold that moves along it.

import { byId, make, path } from "./dom.js";
import { position, rarity, similarityAt } from "./promise.js";
import { state } from "./state.js";

const slider = byId("slider");

export const similarityOnSlider = () => similarityAt(state.promise, slider.valueAsNumber / slider.max);

export const showPromise = () =>
	byId("ticks").replaceChildren(...(state.promise?.marked ?? []).map((level) =>
		make("span", { style: { left: `${100 * position(state.promise, level)}%` } },
			make("b", {}, level), make("small", {}, rarity(state.promise, level)))));

export function showScale(faces, chosen) {
	const { promise, threshold } = state;
	slider.value = Math.round(position(promise, threshold) * slider.max);
	slider.setAttribute("aria-valuetext", `${threshold} ${rarity(promise, threshold)}`);
	const marks = (kind, some) => path(kind, some.map(({ similarity }) => `M${100 * position(promise, similarity)} 0V10`).join(""));
	byId("scale-marks").replaceChildren(
		marks("other", faces.filter(({ matched }) => !matched)),
		marks("match", faces.filter(({ matched }) => matched)),
		marks("chosen", faces.slice(chosen, chosen + 1)));
}
