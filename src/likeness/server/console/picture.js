// A photo with its faces: boxes, labels, landmarks and the axes of each pose.

import { draw, make, path } from "./dom.js";
import { placeLabels } from "./labels.js";
import { axes } from "./pose.js";

const LABEL_HEIGHT_PX = 18;
const labelWidthPx = (text) => 25 + 7.5 * text.length;
// Faces shown narrower have no landmarks, and axes only when chosen; the second is the shortest axis.
const [MARKS_FROM_PX, CHOSEN_AXES_PX] = [40, 24];

// The photo in `figure`; calls `onChoose(index)` for a chosen face. Does not read the layout.
export class Picture {
	#figure;
	#area = {};
	#photo = {};
	#faces = [];
	#boxes = [];
	#labels = [];
	#marks = draw("svg", { class: "marks", "aria-hidden": true });
	#chosen = -1;

	constructor(figure, onChoose) {
		this.#figure = figure;
		this.frame = figure.querySelector(".frame");
		this.frame.addEventListener("change", ({ target }) => onChoose(this.#boxes.indexOf(target)));
	}

	show({ width = 4, height = 3, isPng, url, name }) {
		this.#photo = { width, height };
		this.#figure.querySelector("bdi").textContent = name;
		this.#marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
		this.frame.replaceChildren(make("img", { src: url, alt: `Photo ${name}`, class: isPng && "as-stored" }), this.#marks);
		this.frame.style.setProperty("--ratio", width / height);
		this.frame.hidden = false;
		this.faces([]);
	}

	// Shows {face, label} on the photo, the most important first.
	faces(faces) {
		this.#boxes.concat(this.#labels).forEach((element) => element.remove());
		this.#faces = faces;
		this.#boxes = faces.map(({ face: { BoundingBox: { Left, Top, Width, Height } } }) => {
			const style = { left: percent(Left), top: percent(Top), width: percent(Width), height: percent(Height) };
			return make("input", { type: "radio", name: "face", class: "face", style });
		});
		this.#labels = faces.map(({ label }) => make("span", { class: "label", "aria-hidden": true }, label));
		this.#chosen = -1;
		this.arrange(this.#area);
		// Each label follows its box, on which its style depends.
		this.frame.append(...this.#boxes.flatMap((box, index) => [box, this.#labels[index]]));
	}

	// Describes the only face anew; its box may have the focus.
	describe(face) {
		this.#faces[0].face = face;
		this.#draw();
	}

	// Marks each face {kind: "match", "other" or "source", name: for screen readers}, and the chosen one (-1: none).
	mark(faces, chosen) {
		faces.forEach(({ kind, name }, index) => {
			this.#boxes[index].dataset.kind = kind;
			this.#boxes[index].ariaLabel = name;
		});
		if (chosen >= 0) this.#boxes[chosen].checked = true;
		this.#chosen = chosen;
		this.#draw();
	}

	// The boxes of the faces: {x, y, width, height}, as passed to `arrange`.
	places() {
		const { x, y, width, height } = this.#area;
		return this.#faces.map(({ face: { BoundingBox: box } }) =>
			({ x: x + box.Left * width, y: y + box.Top * height, width: box.Width * width, height: box.Height * height }));
	}

	// Takes the current box of the frame: {x, y, width, height}.
	arrange(area) {
		this.#area = area;
		const shown = this.places().map((box) => ({ ...box, x: box.x - area.x, y: box.y - area.y }));
		const sizes = this.#faces.map(({ label }) => ({ width: labelWidthPx(label), height: LABEL_HEIGHT_PX }));
		placeLabels(shown, sizes, area).forEach(({ x, y, width, isFree }, index) => {
			const { classList, style } = this.#labels[index];
			classList.toggle("no-space", !isFree);
			Object.assign(style, { left: `${x}px`, top: `${y}px`, width: `${width}px` });
		});
		this.#draw();
	}

	#draw() {
		const { width, height } = this.#photo;
		const px = width / this.#area.width;
		let points = "";
		const lines = ["", "", ""];
		this.#faces.forEach(({ face: { BoundingBox: box, Landmarks, Pose } }, index) => {
			const [wide, isChosen] = [box.Width * width, index === this.#chosen];
			const isLarge = wide >= MARKS_FROM_PX * px;
			if (!Pose || !(isLarge || isChosen)) return;
			const at = ({ X, Y }) => `M${X * width} ${Y * height}`;
			if (isLarge) points += Landmarks.map((each) => `${at(each)}h0`).join("");
			const nose = at(Landmarks.find(({ Type }) => Type === "nose"));
			const length = Math.max(0.4 * wide, isChosen && CHOSEN_AXES_PX * px);
			axes(Pose).forEach(([x, y], axis) => { lines[axis] += `${nose}l${x * length} ${y * length}`; });
		});
		this.#marks.replaceChildren(
			path("casing", points + lines.join("")),
			path("points", points),
			...["right", "up", "nose"].map((axis, index) => path(axis, lines[index])));
	}
}

const percent = (ratio) => `${100 * ratio}%`;

// Draws lines in `svg` from the source's box to the boxes `to`; some may be missing.
export function join(svg, from, to, chosen) {
	const between = (least, value, most) => Math.max(least, Math.min(value, most));
	// The point of a box that is nearest to the centre of the other.
	const edge = (box, { x, y, width, height }) =>
		`${between(box.x, x + width / 2, box.x + box.width)} ${between(box.y, y + height / 2, box.y + box.height)}`;
	const line = (place) => (from && place ? `M${edge(from, place)}L${edge(place, from)}` : "");
	const one = line(to[chosen]);
	svg.replaceChildren(path("all", to.map(line).join("")), path("casing", one), path("chosen", one));
}
