// The logarithmic scale of false match rates: a mark for each face, and the threshold that moves along it.

import { draw, make } from "./dom.js";
import { position, rarity, similarityAt } from "./promise.js";

const STEPS = 700;

/** The scale in `place`; `onMove(similarity)` is told when the threshold is moved along it. */
export class Scale {
	#promise = null;
	#marks = draw("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": true });
	#ticks = make("div", { class: "ticks", "aria-hidden": true });
	#slider;

	constructor(place, onMove) {
		const input = () => onMove(similarityAt(this.#promise, this.#slider.valueAsNumber / STEPS));
		this.#slider = make("input", { type: "range", max: STEPS, "aria-label": "Threshold on a logarithmic scale", input });
		place.append(this.#marks, this.#slider, this.#ticks);
	}

	/** Takes over what the server promises. */
	promise(promise) {
		this.#promise = promise;
		this.#ticks.replaceChildren(...(promise?.marked ?? []).map((level) =>
			make("span", { style: { left: `${100 * position(promise, level)}%` } },
				make("b", {}, level), make("small", {}, rarity(promise, level)))));
	}

	/** Shows the threshold and the faces. */
	show(threshold, faces, chosen) {
		this.#slider.value = Math.round(position(this.#promise, threshold) * STEPS);
		this.#slider.setAttribute("aria-valuetext", `${threshold} ${rarity(this.#promise, threshold)}`);
		const path = (kind, some) =>
			draw("path", { class: kind, d: some.map(({ similarity }) => `M${100 * position(this.#promise, similarity)} 0V10`).join("") });
		this.#marks.replaceChildren(
			path("other", faces.filter(({ matched }) => !matched)),
			path("match", faces.filter(({ matched }) => matched)),
			path("chosen", faces.filter((_, index) => index === chosen)));
	}
}
