// A photo with its faces: boxes that can be chosen, labels beside them, landmarks and the axes of each pose.

import { draw, make, moveByArrows } from "./dom.js";
import { placeLabels } from "./labels.js";
import { axes } from "./pose.js";

const LABEL_HEIGHT_PX = 18;
const LABEL_CHARACTER_PX = 7.5;
/** Narrower faces, as shown, get their axes only when they are chosen. */
const AXES_FROM_PX = 40;

/** Shows one photo in `frame`. `onChoose(index)` is told of a face chosen by mouse or keyboard. */
export class Picture {
	#frame;
	#choose;
	#faces = [];
	#boxes = [];
	#labels = [];
	#marks = draw("svg", { class: "marks", "aria-hidden": "true" });
	#photo = null;
	#chosen = -1;

	constructor(frame, onChoose) {
		this.#frame = frame;
		this.#choose = onChoose;
		moveByArrows(frame, () => this.#boxes, onChoose);
		new ResizeObserver(() => this.#arrange()).observe(frame);
	}

	/** Shows a photo without faces, or nothing. */
	show(photo) {
		this.#photo = photo;
		this.#frame.hidden = !photo;
		this.faces([]);
		if (!photo) return;
		const { width, height, format, url, name } = photo;
		const image = make("img", { src: url, alt: `Photo ${name}` });
		image.classList.toggle("as-stored", format === "PNG");
		this.#frame.style.setProperty("--ratio", (width || 4) / (height || 3));
		this.#marks.setAttribute("viewBox", `0 0 ${width || 4} ${height || 3}`);
		this.#frame.replaceChildren(image, this.#marks);
	}

	/** Puts faces on the photo: {face, label, name} each; `name` is what a screen reader says. */
	faces(faces) {
		for (const element of [...this.#boxes, ...this.#labels]) element.remove();
		this.#faces = faces;
		this.#boxes = faces.map(({ face: { BoundingBox: box } }, index) =>
			make("button", {
				class: "face",
				style: { left: share(box.Left), top: share(box.Top), width: share(box.Width), height: share(box.Height) },
				click: () => this.#choose(index),
			}));
		this.#labels = faces.map(({ label }) =>
			make("span", { class: "label", "aria-hidden": "true", style: { width: `${labelWidth(label)}px` } }, label));
		this.#frame.append(...this.#boxes, ...this.#labels);
		this.#chosen = -1;
		this.#arrange();
	}

	/** Says of each face whether it matches ("match", "other", or "source"), and which one is chosen (-1: none). */
	mark(kinds, names, chosen) {
		this.#boxes.forEach((box, index) => {
			box.dataset.kind = this.#labels[index].dataset.kind = kinds[index];
			box.setAttribute("aria-label", names[index]);
			box.setAttribute("aria-pressed", index === chosen);
			box.tabIndex = index === Math.max(chosen, 0) ? 0 : -1;
		});
		if (chosen !== this.#chosen) {
			this.#labels.forEach((label, index) => label.classList.toggle("chosen", index === chosen));
			this.#chosen = chosen;
			this.#drawMarks();
		}
	}

	/** The boxes as they stand on the screen, for lines between photos. */
	places() {
		return this.#boxes.map((box) => box.getBoundingClientRect());
	}

	#arrange() {
		const { clientWidth: width, clientHeight: height } = this.#frame;
		if (!width || !this.#photo) return;
		const shown = this.#faces.map(({ face: { BoundingBox: box } }) => ({
			x: box.Left * width,
			y: box.Top * height,
			width: box.Width * width,
			height: box.Height * height,
		}));
		const sizes = this.#faces.map(({ label }) => ({ width: labelWidth(label), height: LABEL_HEIGHT_PX }));
		placeLabels(shown, sizes, { width, height }).forEach((spot, index) => {
			const label = this.#labels[index];
			label.classList.toggle("no-room", !spot);
			const { x, y } = spot ?? { x: Math.max(shown[index].x, 0), y: Math.max(shown[index].y - LABEL_HEIGHT_PX, 0) };
			label.style.setProperty("left", `${x}px`);
			label.style.setProperty("top", `${y}px`);
		});
		this.#boxes.forEach((box, index) => box.classList.toggle("tiny", shown[index].width < 20));
		this.#drawMarks();
	}

	#drawMarks() {
		if (!this.#photo) return;
		const scale = this.#frame.clientWidth / this.#photo.width;
		const points = this.#faces.map(({ face }) => landmarkPath(face, this.#photo)).join("");
		const turned = this.#faces.filter(({ face }, index) =>
			face.Pose && (index === this.#chosen || face.BoundingBox.Width * this.#photo.width * scale >= AXES_FROM_PX));
		const lines = turned.map(({ face }) => axesOf(face, this.#photo));
		const path = (kind, d) => draw("path", { class: kind, d });
		this.#marks.replaceChildren(
			path("points casing", points),
			path("points", points),
			path("axis casing", lines.map(({ right, up, nose }) => right + up + nose).join("")),
			...["right", "up", "nose"].map((axis) => path(`axis ${axis}`, lines.map((each) => each[axis]).join(""))),
		);
	}
}

const share = (ratio) => `${100 * ratio}%`;
const labelWidth = (text) => Math.ceil(10 + LABEL_CHARACTER_PX * (text.length + 2));

function landmarkPath({ Landmarks = [] }, { width, height }) {
	return Landmarks.map(({ X, Y }) => `M${X * width} ${Y * height}h0`).join("");
}

function axesOf({ BoundingBox: box, Landmarks, Pose }, { width, height }) {
	const nose = Landmarks?.find(({ Type }) => Type === "nose");
	const x = (nose?.X ?? box.Left + box.Width / 2) * width;
	const y = (nose?.Y ?? box.Top + box.Height / 2) * height;
	const length = 0.4 * box.Width * width;
	const line = ([dx, dy]) => `M${x} ${y}l${dx * length} ${dy * length}`;
	const { right, up, nose: ahead } = axes(Pose);
	return { right: line(right), up: line(up), nose: line(ahead) };
}

/** Draws lines from the source's box to each matched box of the target. */
export function join(svg, from, to, chosen) {
	const origin = svg.getBoundingClientRect();
	const line = (place) => {
		const stacked = Math.abs(place.top - from.top) > Math.abs(place.left - from.left) && from.bottom < place.top;
		const [x1, y1] = stacked ? [from.left + from.width / 2, from.bottom] : [from.right, from.top + from.height / 2];
		const [x2, y2] = stacked ? [place.left + place.width / 2, place.top] : [place.left, place.top + place.height / 2];
		return `M${x1 - origin.left} ${y1 - origin.top}L${x2 - origin.left} ${y2 - origin.top}`;
	};
	const all = from ? to.filter(Boolean).map(line).join("") : "";
	const one = from && to[chosen] ? line(to[chosen]) : "";
	svg.replaceChildren(draw("path", { d: all }), draw("path", { class: "casing", d: one }), draw("path", { class: "chosen", d: one }));
}
