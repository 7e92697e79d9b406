// The place of one photo: dropped, pasted, picked, taken with the camera, or a sample portrait.

import { byId, make } from "./dom.js";
import { droppedFiles } from "./photo.js";

const TYPES = "image/jpeg,image/png,.jpg,.jpeg,.png";

/** Builds a slot; `onFiles([{file, path}])` is told what was chosen. Returns its elements. */
export function slot(side, title, { onFiles, folders, onSample }) {
	const pick = (event) => {
		const files = [...event.target.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
		event.target.value = "";
		if (files.length) onFiles(files);
	};
	const name = make("bdi", { class: "name" });
	const size = make("span", { class: "small" });
	const frame = make("div", { class: "frame", hidden: "" });
	const samples = make("select", {
		hidden: "", "aria-label": `Sample portrait as ${side}`,
		change: (event) => { if (event.target.value) onSample(event.target.value); event.target.value = ""; },
	});
	const choosers = [chooser("Choose a photo", `Choose the ${side} photo`, { accept: TYPES, multiple: folders, change: pick })];
	if (folders) {
		choosers.push(chooser("Choose a folder", "Choose a folder of target photos", { webkitdirectory: true, multiple: true, change: pick }));
	}
	const camera = make("button", { click: () => takePhoto((file) => onFiles([{ file, path: file.name }])) }, "Camera");
	const hint = folders ? "Drop photos or a folder here, or paste." : "Drop a photo here, or paste.";
	const figure = make("figure", { class: "slot", "data-side": side },
		make("figcaption", {}, make("h2", {}, title), name, size),
		make("div", { class: "row" }, ...choosers, camera, samples),
		make("p", { class: "hint" }, hint),
		frame);
	listenForDrops(figure, onFiles);
	return { figure, frame, name, size, samples };
}

function chooser(text, label, attributes) {
	return make("label", { class: "button" }, text, make("input", { type: "file", "aria-label": label, ...attributes }));
}

function listenForDrops(figure, onFiles) {
	figure.addEventListener("dragover", (event) => {
		event.preventDefault();
		figure.classList.add("over");
	});
	figure.addEventListener("dragleave", () => figure.classList.remove("over"));
	figure.addEventListener("drop", async (event) => {
		event.preventDefault();
		figure.classList.remove("over");
		const files = await droppedFiles(event.dataTransfer);
		if (files.length) onFiles(files);
	});
}

/** A photo from the camera, as a JPEG file. */
async function takePhoto(onPhoto) {
	const dialog = byId("camera");
	const video = dialog.querySelector("video");
	let stream = null;
	try {
		stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
	} catch {
		const why = globalThis.isSecureContext ? "there is none, or it may not be used" : "browsers allow it over https or localhost only";
		byId("told").replaceChildren(make("p", { class: "problem" }, `The camera cannot be opened: ${why}.`));
		return;
	}
	video.srcObject = stream;
	dialog.showModal();
	dialog.onclose = () => stream.getTracks().forEach((track) => track.stop());
	byId("camera-close").onclick = () => dialog.close();
	byId("shoot").onclick = () => {
		const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
		canvas.getContext("2d").drawImage(video, 0, 0);
		canvas.toBlob((blob) => {
			dialog.close();
			onPhoto(new File([blob], "camera.jpg", { type: "image/jpeg" }));
		}, "image/jpeg", 0.92);
	};
}
