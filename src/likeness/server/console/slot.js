// Photo input: dropped, picked, taken with the camera, or a sample portrait.

import { byId, make } from "./dom.js";
import { showStatus } from "./results.js";
import { droppedFiles } from "./photo.js";

// Calls `onFiles([file])` with the photo for a side.
export function watchSlot(figure, onFiles) {
	for (const input of figure.querySelectorAll("[type=file]")) {
		input.addEventListener("change", () => {
			onFiles([...input.files]);
			input.value = "";
		});
	}
	figure.querySelector("button").addEventListener("click", () => takePhoto((file) => onFiles([file])));
	figure.querySelector("select").addEventListener("change", async ({ target }) => {
		const name = target.value;
		target.value = "";
		// The comparison reports whether the server is unreachable.
		const photo = await fetch(`console/samples/${name}`).then((response) => response.blob()).catch(() => "");
		onFiles([new File([photo], name)]);
	});
	for (const type of ["dragover", "dragleave", "drop"]) {
		figure.addEventListener(type, () => figure.classList.toggle("over", type === "dragover"));
	}
	figure.addEventListener("drop", async ({ dataTransfer }) => onFiles(await droppedFiles(dataTransfer)));
}

export function offerSamples(names) {
	for (const select of document.querySelectorAll(".slot select")) {
		select.hidden = !names.length;
		select.replaceChildren(...["Sample", ...names].map((name, index) => make("option", { value: index ? name : "" }, name)));
	}
}

async function takePhoto(onPhoto) {
	const dialog = byId("camera");
	const video = dialog.querySelector("video");
	try {
		video.srcObject = await navigator.mediaDevices.getUserMedia({ video: true });
	} catch {
		const why = globalThis.isSecureContext ? "there is none, or it may not be used" : "browsers allow it over https or localhost only";
		showStatus(make("p", { class: "problem" }, `The camera cannot be opened: ${why}.`));
		return;
	}
	dialog.returnValue = "";
	dialog.onclose = () => {
		if (dialog.returnValue) {
			const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
			canvas.getContext("2d").drawImage(video, 0, 0);
			canvas.toBlob((blob) => onPhoto(new File([blob], "camera.jpg")), "image/jpeg", 0.92);
		}
		video.srcObject.getTracks().forEach((track) => track.stop());
	};
	dialog.showModal();
}
