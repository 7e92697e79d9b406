// The place of one photo: dropped, picked, taken with the camera, or a sample portrait.

import { byId, make } from "./dom.js";
import { droppedFiles } from "./photo.js";

/** A slot's elements; `onFiles([{file, path}])` is told what was chosen, `onSample(name)` which sample. */
export function slot(side, title, { onFiles, onSample, folders }) {
	const change = ({ target }) => {
		const files = [...target.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
		target.value = "";
		if (files.length) onFiles(files);
	};
	const chooser = (text, label, attributes) =>
		make("label", { class: "button" }, text, make("input", { type: "file", "aria-label": label, change, ...attributes }));
	const [name, size] = [make("bdi", { class: "name" }), make("span", { class: "small" })];
	const frame = make("div", { class: "frame", hidden: true });
	const samples = make("select", {
		"aria-label": `Sample portrait as ${side}`,
		change: () => { if (samples.value) onSample(samples.value); samples.value = ""; },
	});
	const figure = make("figure", { class: "slot", "data-side": side },
		make("figcaption", {}, make("h2", {}, title), " ", name, " ", size),
		make("div", { class: "row" },
			chooser("Choose a photo", `Choose the ${side} photo`, { accept: ".jpg,.jpeg,.png", multiple: folders }),
			folders ? chooser("Choose a folder", "Choose a folder of target photos", { webkitdirectory: true }) : "",
			make("button", { click: () => takePhoto((file) => onFiles([{ file, path: file.name }])) }, "Camera"),
			samples),
		make("p", { class: "hint" }, folders ? "Drop photos or a folder here, or paste." : "Drop a photo here, or paste."),
		frame);
	figure.addEventListener("dragover", () => figure.classList.add("over"));
	figure.addEventListener("dragleave", () => figure.classList.remove("over"));
	figure.addEventListener("drop", async ({ dataTransfer }) => {
		figure.classList.remove("over");
		const files = await droppedFiles(dataTransfer);
		if (files.length) onFiles(files);
	});
	return { figure, frame, name, size, samples };
}

/** A photo from the camera, as a JPEG file. */
async function takePhoto(onPhoto) {
	const dialog = byId("camera");
	const video = dialog.querySelector("video");
	try {
		video.srcObject = await navigator.mediaDevices.getUserMedia({ video: true });
	} catch {
		const why = globalThis.isSecureContext ? "there is none, or it may not be used" : "browsers allow it over https or localhost only";
		byId("told").replaceChildren(make("p", { class: "problem" }, `The camera cannot be opened: ${why}.`));
		return;
	}
	dialog.showModal();
	dialog.onclose = () => video.srcObject.getTracks().forEach((track) => track.stop());
	byId("camera-close").onclick = () => dialog.close();
	byId("shoot").onclick = () => {
		const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
		canvas.getContext("2d").drawImage(video, 0, 0);
		canvas.toBlob((blob) => onPhoto(new File([blob], "camera.jpg")), "image/jpeg", 0.92);
		dialog.close();
	};
}
