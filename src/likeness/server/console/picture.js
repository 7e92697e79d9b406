// A photo with its faces: boxes that can be chosen, labels beside them, landmarks and the axes of each pose.

import { draw, make, moveByArrows } from "./dom.js";
import { placeLabels } from "./labels.js";
import { axes } from "./pose.js";

const LABEL_HEIGHT_PX = 18;
const labelWidthPx = (text) => 25 + 7.5 * text.length;
/** Narrower faces, as shown, get their axes only when they are chosen. */
const AXES_FROM_PX = 40;

/** One photo in `frame`; `onChoose(index)` is told of a face chosen by mouse or keyboard. */
export class Picture {
	#frame;
	#choose;
	#faces = [];
	#boxes = [];
	#labels = [];
	#marks = draw("svg", { class: "marks", "aria-hidden": true });
	#size = {};
	#chosen = -1;

	constructor(frame, onChoose) {
		this.#frame = frame;
		this.#choose = onChoose;
		moveByArrows(frame, () => this.#boxes, onChoose);
		new ResizeObserver(() => this.#arrange()).observe(frame);
	}

	/** Shows a photo without faces. */
	show({ width = 4, height = 3, format, url, name }) {
		this.faces([]);
		this.#size = { width, height };
		this.#frame.hidden = false;
		this.#frame.style.setProperty("--ratio", width / height);
		this.#marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
		this.#frame.replaceChildren(make("img", { src: url, alt: `Photo ${name}`, class: format === "PNG" && "as-stored" }), this.#marks);
	}

	/** Puts {face, label} on the photo, the most important first. */
	faces(faces) {
		for (const element of [...this.#boxes, ...this.#labels]) element.remove();
		this.#faces = faces;
		this.#boxes = faces.map(({ face: { BoundingBox: box } }, index) => {
			const style = { left: share(box.Left), top: share(box.Top), width: share(box.Width), height: share(box.Height) };
			return make("button", { class: "face", style, click: () => this.#choose(index) });
		});
		this.#labels = faces.map(({ label }) =>
			make("span", { class: "label", "aria-hidden": true, style: { width: `${labelWidthPx(label)}px` } }, label));
		this.#frame.append(...this.#boxes, ...this.#labels);
		this.#chosen = -1;
		this.#arrange();
	}

	/** Says of each face {kind: "match", "other" or "source", name: for screen readers}, and which is chosen (-1: none). */
	mark(told, chosen) {
		told.forEach(({ kind, name }, index) => {
			const [box, label] = [this.#boxes[index], this.#labels[index]];
			box.dataset.kind = label.dataset.kind = kind;
			box.setAttribute("aria-label", name);
			box.setAttribute("aria-pressed", index === chosen);
			box.tabIndex = index === Math.max(chosen, 0) ? 0 : -1;
			label.classList.toggle("chosen", index === chosen);
		});
		this.#chosen = chosen;
		this.#drawMarks();
	}

	/** The boxes as they stand on the screen. */
	places() {
		return this.#boxes.map((box) => box.getBoundingClientRect());
	}

	#arrange() {
		const area = { width: this.#frame.clientWidth, height: this.#frame.clientHeight };
		const shown = this.#faces.map(({ face: { BoundingBox: { Left, Top, Width, Height } } }) =>
			({ x: Left * area.width, y: Top * area.height, width: Width * area.width, height: Height * area.height }));
		const sizes = this.#faces.map(({ label }) => ({ width: labelWidthPx(label), height: LABEL_HEIGHT_PX }));
		placeLabels(shown, sizes, area).forEach((spot, index) => {
			const { x, y } = spot ?? { x: Math.max(shown[index].x, 0), y: Math.max(shown[index].y - LABEL_HEIGHT_PX, 0) };
			this.#labels[index].classList.toggle("no-room", !spot);
			this.#labels[index].style.left = `${x}px`;
			this.#labels[index].style.top = `${y}px`;
			this.#boxes[index].classList.toggle("tiny", shown[index].width < 20);
		});
		this.#drawMarks();
	}

	#drawMarks() {
		const { width, height } = this.#size;
		const least = AXES_FROM_PX / this.#frame.clientWidth;
		const dots = ({ face: { Landmarks = [] } }) => Landmarks.map(({ X, Y }) => `M${X * width} ${Y * height}h0`).join("");
		const points = this.#faces.map(dots).join("");
		const lines = this.#faces
			.filter(({ face }, index) => face.Pose && (index === this.#chosen || face.BoundingBox.Width >= least))
			.map(({ face }) => axesOf(face, width, height));
		this.#marks.replaceChildren(
			path("points casing", points),
			path("points", points),
			path("casing", lines.map(Object.values).flat().join("")),
			...["right", "up", "nose"].map((axis) => path(axis, lines.map((each) => each[axis]).join(""))));
	}
}

const share = (ratio) => `${100 * ratio}%`;
const path = (kind, d) => draw("path", { class: kind, d });

/** The axes of a face's pose as SVG paths, from its nose. */
function axesOf({ BoundingBox: box, Landmarks, Pose }, width, height) {
	const { X, Y } = Landmarks.find(({ Type }) => Type === "nose") ?? { X: box.Left + box.Width / 2, Y: box.Top + box.Height / 2 };
	const length = 0.4 * box.Width * width;
	const line = ([axis, [x, y]]) => [axis, `M${X * width} ${Y * height}l${x * length} ${y * length}`];
	return Object.fromEntries(Object.entries(axes(Pose)).map(line));
}

/** Draws lines in `svg` from the source's box to the boxes `to`, of which some may be missing. */
export function join(svg, from, to, chosen) {
	const origin = svg.getBoundingClientRect();
	const line = (place) => {
		if (!from || !place) return "";
		const [x1, y1, x2, y2] = from.bottom < place.top && from.right > place.left
			? [from.left + from.width / 2, from.bottom, place.left + place.width / 2, place.top]
			: [from.right, from.top + from.height / 2, place.left, place.top + place.height / 2];
		return `M${x1 - origin.left} ${y1 - origin.top}L${x2 - origin.left} ${y2 - origin.top}`;
	};
	const one = line(to[chosen]);
	svg.replaceChildren(path("all", to.map(line).join("")), path("casing", one), path("chosen", one));
}
