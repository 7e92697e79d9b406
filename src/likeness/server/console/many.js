// One source against many targets: a grid sorted by similarity, as many requests at once as the server runs.

import { byId, make } from "./dom.js";
import { toCsv } from "./csv.js";
import { shown, verdict } from "./findings.js";
import { eachAtMost, patiently } from "./patience.js";
import { base64, forget, readPhoto } from "./photo.js";
import { inWords } from "./problems.js";
import { rarity } from "./promise.js";
import { compare } from "./server.js";

/** The grid. `onOpen(photo, result)` is told when a target is to be looked at. */
export class Many {
	#items = [];
	#stop = null;
	#state;
	#open;

	constructor(state, onOpen) {
		this.#state = state;
		this.#open = onOpen;
		byId("many-stop").addEventListener("click", () => this.#stop?.abort(new Error("stopped")));
		byId("many-csv").addEventListener("click", () => this.#export());
	}

	/** Compares `source` with every file; ends what runs before. */
	async run(source, files) {
		this.#stop?.abort(new Error("another run begins"));
		const stop = (this.#stop = new AbortController());
		for (const { photo } of this.#items) forget(photo);
		this.#items = [];
		byId("many").hidden = false;
		byId("many-stop").disabled = false;
		byId("many-grid").replaceChildren();
		const progress = byId("many-progress");
		progress.max = files.length;
		progress.value = 0;
		this.#tell(`Comparing ${files.length} photos`);
		const encoded = await base64(source);
		const one = async ({ file, path }) => {
			const photo = await readPhoto(file, path);
			const result = await this.#ask(encoded, photo, stop.signal);
			if (stop.signal.aborted) return forget(photo);
			this.#insert({ photo, source, result });
			progress.value += 1;
			this.#tell(`${progress.value} of ${files.length} photos compared`);
		};
		await eachAtMost(this.#state.about.at_once, files, (item) => one(item).catch(() => {}), stop.signal);
		if (this.#stop !== stop) return;
		byId("many-stop").disabled = true;
		const done = `${this.#items.length} of ${files.length} photos compared`;
		this.#tell(stop.signal.aborted ? `Stopped: ${done}` : `Done: ${done}`);
	}

	/** Marks again what matches, at another threshold. */
	refresh() {
		for (const item of this.#items) this.#mark(item);
	}

	async #ask(source, photo, signal) {
		const { session, filter, about } = this.#state;
		const target = await base64(photo);
		const onPause = (ms) => this.#tell(`The server is busy: trying again in ${(ms / 1000).toFixed(1)} s`);
		return patiently(() => compare({ source, target, filter, session, signal, about }), { signal, onPause });
	}

	#insert(item) {
		item.similarity = item.result.answer ? (item.result.answer.FaceMatches[0]?.Similarity ?? -1) : -2;
		const { photo } = item;
		const failure = item.result.answer ? null : inWords(item.result, { photos: { target: photo }, limits: this.#state.about });
		item.failure = failure;
		item.told = make("span", { class: "told" });
		const image = make("img", { src: photo.url, alt: "", loading: "lazy", decoding: "async" });
		item.card = make("li", {}, make("button", { click: () => this.#open(item) }, image, make("bdi", {}, photo.name), item.told));
		const at = this.#items.findIndex((other) => other.similarity < item.similarity);
		this.#items.splice(at < 0 ? this.#items.length : at, 0, item);
		byId("many-grid").insertBefore(item.card, at < 0 ? null : byId("many-grid").children[at]);
		this.#mark(item);
	}

	#mark({ card, told, similarity, failure, result }) {
		const { threshold, about } = this.#state;
		const matched = similarity >= threshold && similarity >= 0;
		card.dataset.kind = failure ? "failed" : matched ? "match" : "other";
		if (failure) told.textContent = `${failure.title} (${result.code || result.status})`;
		else if (similarity < 0) told.textContent = "no face compared";
		else told.textContent = `${shown(similarity)} ${verdict(matched)}, ${rarity(about.promise, similarity)}`;
	}

	#export() {
		const { threshold, about } = this.#state;
		const rows = this.#items.map(({ photo, similarity, result, failure }) => {
			const faces = result.answer?.FaceMatches ?? [];
			const best = similarity >= 0 ? [similarity, rarity(about.promise, similarity)] : ["", ""];
			const matches = faces.filter(({ Similarity }) => Similarity >= threshold).length;
			return [photo.name, ...best, faces.length, matches, result.code ?? "", failure?.title ?? "", result.requestId ?? ""];
		});
		const head = ["photo", "similarity", "false match rate", "faces", `matches at ${threshold}`, "error", "in words", "request id"];
		const url = URL.createObjectURL(new Blob([toCsv([head, ...rows])], { type: "text/csv" }));
		make("a", { href: url, download: "likeness.csv" }).click();
		setTimeout(() => URL.revokeObjectURL(url), 60_000);
	}

	#tell(text) {
		byId("many-told").textContent = text;
	}
}
