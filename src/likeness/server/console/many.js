// One source against many targets: a grid sorted by similarity, as many requests at once as the server runs.

import { toCsv } from "./csv.js";
import { byId, make } from "./dom.js";
import { shown, verdict } from "./findings.js";
import { eachAtMost, patiently } from "./patience.js";
import { base64, readPhoto } from "./photo.js";
import { inWords } from "./problems.js";
import { rarity } from "./promise.js";
import { compare } from "./server.js";

const HEADINGS = ["photo", "similarity", "false match rate", "faces", "matches", "threshold", "error", "in words", "request id"];
const NO_FACE = "InvalidParameterException";

/** The grid; `onOpen(item)` is told which {photo, source, result} is to be looked at. */
export class Many {
	#items = [];
	#stop = null;
	#state;
	#open;

	constructor(state, onOpen) {
		this.#state = state;
		this.#open = onOpen;
		byId("many-stop").addEventListener("click", () => this.#stop.abort());
		byId("many-csv").addEventListener("click", () => this.#export());
	}

	/** Compares `source` with every file; ends what runs before. */
	async run(source, files) {
		this.#stop?.abort();
		const { signal } = (this.#stop = new AbortController());
		for (const { photo } of this.#items) URL.revokeObjectURL(photo.url);
		this.#items = [];
		byId("many-grid").replaceChildren();
		byId("many").hidden = byId("many-stop").disabled = false;
		const encoded = await base64(source);
		let alone; // the source compared with itself tells which photo lacks a face
		const one = async ({ file, path }) => {
			const photo = await readPhoto(file, path);
			const result = await this.#ask(encoded, photo, signal).catch(() => null);
			if (result?.code === NO_FACE) alone ??= this.#ask(encoded, source, signal).catch(() => null);
			const own = await alone;
			if (signal.aborted) return;
			const faceless = own?.answer ? "target" : own?.code === NO_FACE ? "source" : undefined;
			this.#insert({ photo, source, faceless, result: result ?? { status: 0, code: "Unreachable" } });
			this.#progress("", files);
		};
		this.#progress("", files);
		await eachAtMost(this.#state.about.at_once, files, one, signal);
		if (this.#stop.signal !== signal) return;
		byId("many-stop").disabled = true;
		this.#progress(signal.aborted ? "Stopped: " : "Done: ", files);
	}

	/** Marks again what matches, at another threshold. */
	refresh() {
		for (const item of this.#items) this.#mark(item);
	}

	#progress(word, files) {
		const done = this.#items.length;
		Object.assign(byId("many-progress"), { max: files.length, value: done });
		byId("many-told").textContent = `${word}${done} of ${files.length} photos compared`;
	}

	async #ask(source, photo, signal) {
		const { session, filter, about } = this.#state;
		const target = await base64(photo);
		const onPause = (ms) => {
			byId("many-told").textContent = `The server is busy: trying again in ${(ms / 1000).toFixed(1)} s`;
		};
		return patiently(() => compare({ source, target, filter, session, signal, about }), { signal, onPause });
	}

	#insert(item) {
		const { photo, result, faceless } = item;
		item.similarity = result.answer ? (result.answer.FaceMatches[0]?.Similarity ?? -1) : -2;
		item.problem = result.answer ? null : inWords(result, { photos: { target: photo }, limits: this.#state.about, faceless });
		item.told = make("span", { class: "told" });
		const image = make("img", { src: photo.url, alt: "", loading: "lazy" });
		item.card = make("li", {}, make("button", { click: () => this.#open(item) }, image, make("bdi", {}, photo.name), item.told));
		const next = this.#items.findIndex(({ similarity }) => similarity < item.similarity);
		const at = next < 0 ? this.#items.length : next;
		byId("many-grid").insertBefore(item.card, this.#items[at]?.card ?? null);
		this.#items.splice(at, 0, item);
		this.#mark(item);
	}

	#mark({ card, told, similarity, problem, result }) {
		const { threshold, about } = this.#state;
		const matched = similarity >= threshold;
		card.dataset.kind = problem ? "failed" : matched ? "match" : "other";
		if (problem) told.textContent = `${problem.title} (${result.code || result.status})`;
		else if (similarity < 0) told.textContent = "no face compared";
		else told.textContent = `${shown(similarity)} ${verdict(matched)}, ${rarity(about.promise, similarity)}`;
	}

	#export() {
		const { threshold, about } = this.#state;
		const rows = this.#items.map(({ photo, similarity, result, problem }) => {
			const faces = result.answer?.FaceMatches ?? [];
			const best = faces.length ? [similarity, rarity(about.promise, similarity)] : ["", ""];
			const matches = faces.filter((each) => each.Similarity >= threshold).length;
			return [photo.name, ...best, faces.length, matches, threshold, result.code, problem?.title, result.requestId];
		});
		const href = URL.createObjectURL(new Blob([toCsv([HEADINGS, ...rows])]));
		make("a", { href, download: "likeness.csv" }).click();
		setTimeout(() => URL.revokeObjectURL(href), 60_000);
	}
}
