// One source against many targets, as many requests at once as the server runs.

import { toCsv } from "./csv.js";
import { byId, make } from "./dom.js";
import { kind, shown, verdict } from "./results.js";
import { eachAtMost } from "./retries.js";
import { readPhoto } from "./photo.js";
import { inWords } from "./problems.js";
import { rarity } from "./promise.js";
import { compare } from "./server.js";
import { state } from "./state.js";

const HEADINGS = ["photo", "similarity", "false match rate", "faces", "matches", "threshold", "error", "in words", "request id"];
let items = [];
let stop;

// Calls `open({photo, source, result})` to show a comparison.
export async function compareMany(source, files, open) {
	stop?.abort();
	stop = new AbortController();
	const { signal } = stop;
	for (const { photo } of items) URL.revokeObjectURL(photo.url);
	items = [];
	byId("many-grid").replaceChildren();
	byId("many").hidden = byId("many-stop").disabled = false;
	const showStatus = (text) => { byId("many-status").textContent = text; };
	const progress = (word) => showStatus(`${word}${items.length} of ${files.length} photos compared`);
	progress("");
	await eachAtMost(state.about.at_once, files, async (file) => {
		const photo = await readPhoto(file);
		const result = await compare(source, photo, { signal, onPause: showStatus, attempts: 12 });
		if (signal.aborted) return;
		insert({ photo, source, result }, open);
		progress("");
	}, signal);
	if (stop.signal !== signal) return;
	byId("many-stop").disabled = true;
	progress(signal.aborted ? "Stopped: " : "Done: ");
}

export const markMany = () => items.forEach(mark);

function mark({ card, similarity, problem, result }) {
	const matched = similarity >= state.threshold;
	card.dataset.kind = problem ? "failed" : kind(matched);
	const outcome = card.querySelector(".outcome");
	if (problem) outcome.textContent = `${problem.title} (${result.code || result.status})`;
	else if (similarity < 0) outcome.textContent = "no face passes the filter";
	else outcome.textContent = `${shown(similarity)} ${verdict(matched)}, ${rarity(state.promise, similarity)}`;
}

function insert(item, open) {
	const { photo, result } = item;
	item.similarity = result.answer?.FaceMatches[0]?.Similarity ?? -1;
	item.problem = result.answer ? null : inWords(result, { target: photo });
	item.card = make("li", {}, make("button", { click: () => open(item) },
		make("img", { src: photo.url, alt: "", loading: "lazy" }), make("bdi", {}, photo.name), make("span", { class: "outcome" })));
	const next = items.findIndex(({ similarity }) => similarity < item.similarity);
	items.splice(next < 0 ? items.length : next, 0, item);
	byId("many-grid").insertBefore(item.card, items[items.indexOf(item) + 1]?.card ?? null);
	mark(item);
}

byId("many-stop").addEventListener("click", () => stop.abort());
byId("many-csv").addEventListener("click", () => {
	const { threshold, promise } = state;
	const rows = items.map(({ photo, similarity, result, problem }) => {
		const faces = result.answer?.FaceMatches ?? [];
		const best = similarity < 0 ? ["", ""] : [similarity, rarity(promise, similarity)];
		const matches = faces.filter((each) => each.Similarity >= threshold).length;
		return [photo.name, ...best, faces.length, matches, threshold, result.code, problem?.title, result.requestId];
	});
	const href = URL.createObjectURL(new Blob([toCsv([HEADINGS, ...rows])]));
	make("a", { href, download: "likeness.csv" }).click();
	setTimeout(() => URL.revokeObjectURL(href), 60_000);
});
