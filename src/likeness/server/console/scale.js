// The logarithmic scale of false match rates, with a mark for each face, and the threshold that moves along it.

import { draw, make } from "./dom.js";
import { position, rarity, similarityAt } from "./promise.js";

const STEPS = 700;

/** The scale in `place`; `onMove(similarity)` is told when the threshold is moved along it. */
export class Scale {
	#place;
	#promise = null;
	#slider;
	#marks = draw("svg", { class: "scale-marks", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
	#ticks = make("div", { class: "ticks", "aria-hidden": "true" });

	constructor(place, onMove) {
		this.#place = place;
		const moved = () => onMove(similarityAt(this.#promise, this.#slider.valueAsNumber / STEPS));
		this.#slider = make("input", { type: "range", min: 0, max: STEPS, "aria-label": "Threshold on a logarithmic scale", input: moved });
		place.replaceChildren(this.#marks, this.#slider, this.#ticks);
	}

	/** Takes over what the server promises. */
	promise(promise) {
		this.#promise = promise;
		this.#ticks.replaceChildren(...(promise?.marked ?? [99]).map((level) =>
			make("span", { style: { "inset-inline-start": `${100 * position(promise, level)}%` } },
				make("b", {}, String(level)), make("small", {}, rarity(promise, level)))));
	}

	/** Shows threshold and faces. */
	show(threshold, faces, chosen) {
		this.#slider.value = Math.round(position(this.#promise, threshold) * STEPS);
		const words = rarity(this.#promise, threshold);
		this.#slider.setAttribute("aria-valuetext", words ? `${threshold}: ${words}` : String(threshold));
		const stroke = (similarity) => `M${100 * position(this.#promise, similarity)} 0V10`;
		const d = (kind) => faces.filter(({ matched }) => matched === kind).map(({ similarity }) => stroke(similarity)).join("");
		this.#marks.replaceChildren(
			draw("path", { class: "other", d: d(false) }),
			draw("path", { class: "match", d: d(true) }),
			draw("path", { class: "chosen", d: faces[chosen] ? stroke(faces[chosen].similarity) : "" }));
	}
}
