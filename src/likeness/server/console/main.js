// The page's interaction. A pair is requested once, at threshold 0; thresholds are applied here.

import { facesAt, ownFace } from "./answer.js";
import { showCode } from "./code.js";
import { byId } from "./dom.js";
import { fillTable, kind, markTable, shown, showStatus, showProblem, showSource, showTarget, verdict } from "./results.js";
import { compareMany, markMany } from "./many.js";
import { readPhoto } from "./photo.js";
import { join, Picture } from "./picture.js";
import { rarity } from "./promise.js";
import { showPromise, showScale, similarityOnSlider } from "./scale.js";
import { alone, compare, watchServer } from "./server.js";
import { guard } from "./session.js";
import { offerSamples, watchSlot } from "./slot.js";
import { state } from "./state.js";

const SOURCE = -1;
const [sourceSlot, targetSlot] = document.querySelectorAll(".slot");
const source = new Picture(sourceSlot, () => choose(SOURCE));
const target = new Picture(targetSlot, choose);
let waiting = null; // targets without a source photo
let asking = new AbortController();
let result = null;
let faces = [];
let own = null;
let chosen = 0;

// Files for one side: one photo, or many targets.
async function take(side, files) {
	if (!files.length) return;
	if (side === "target") waiting = files.length > 1 ? files : null;
	if (side === "source" || !waiting) show(side, await readPhoto(files[0]));
	askAgain();
}

function show(side, photo) {
	state.photos[side] = photo;
	(side === "source" ? source : target).show(photo);
}

function mayAsk() {
	const { about, keys } = state;
	if (about?.signed && !keys) showStatus("Sign in first.");
	return about && (!about.signed || keys);
}

function askAgain() {
	if (!waiting) ask();
	else if (!state.photos.source) showStatus(`Now choose the source photo: ${waiting.length} target photos wait for it.`);
	else if (mayAsk()) {
		showStatus();
		compareMany(state.photos.source, waiting, open);
		waiting = null;
	}
}

function open(item) {
	show("source", item.source);
	show("target", item.photo);
	clear();
	settle(item.result);
	byId("stage").scrollIntoView();
}

async function ask() {
	const { photos } = state;
	clear();
	if (!photos.source || !photos.target || !mayAsk()) return;
	showStatus("Comparing…");
	const answered = await compare(photos.source, photos.target, { signal: asking.signal, onPause: showStatus });
	if (answered) settle(answered);
}

async function settle(answered) {
	result = answered;
	const { answer } = answered;
	if (!answer) return showProblem(answered);
	measure();
	faces = facesAt(answer, state.threshold);
	chosen = faces.length ? 0 : SOURCE;
	target.faces(faces.map(({ face, similarity }, index) => ({ face, label: `${index + 1} · ${shown(similarity)}` })));
	fillTable(faces);
	own = answer.SourceImageFace;
	source.faces([{ face: own, label: "source" }]);
	refresh();
	const { answer: same } = await alone(state.photos.source);
	if (!same || result !== answered) return;
	own = ownFace(same) ?? own;
	source.describe(own);
	if (chosen === SOURCE) showSource(own);
}

// Drops the last answer and any pending request.
function clear() {
	asking.abort();
	asking = new AbortController();
	[result, faces] = [null, []];
	byId("results").hidden = byId("code").hidden = true;
	showStatus();
	source.faces([]);
	target.faces([]);
	refresh();
}

function choose(index) {
	chosen = index;
	refresh();
}

function setThreshold(threshold) {
	state.threshold = byId("threshold").value = threshold;
	if (result?.answer) faces = facesAt(result.answer, threshold);
	refresh();
	markMany();
}

// Updates what depends on threshold and choice; sends no request and reads no layout.
function refresh() {
	const { promise, threshold } = state;
	byId("threshold-rate").textContent = rarity(promise, threshold);
	showScale(faces, chosen);
	connect();
	if (!result?.answer) return;
	target.mark(faces.map(({ similarity, matched }, index) => ({
		kind: kind(matched),
		name: `Face ${index + 1}: ${verdict(matched)}, similarity ${shown(similarity)}, ${rarity(promise, similarity)}`,
	})), chosen);
	source.mark([{ kind: "source", name: "Source face" }], chosen === SOURCE ? 0 : -1);
	byId("results").hidden = false;
	markTable(faces, chosen);
	if (chosen === SOURCE) showSource(own);
	else showTarget(faces[chosen], chosen + 1);
	const matches = faces.filter(({ matched }) => matched).length;
	showStatus(`Faces compared: ${faces.length}; matches: ${matches}.`);
	showCode(result.answer);
}

function connect() {
	join(byId("joins"), source.places()[0], target.places().map((place, index) => faces[index]?.matched && place), chosen);
}

// Reads all layout before writing any.
function measure() {
	const { left, top } = byId("joins").getBoundingClientRect();
	const measured = [source, target].map((picture) => [picture, picture.frame.getBoundingClientRect()]);
	for (const [picture, { x, y, width, height }] of measured) picture.arrange({ x: x - left, y: y - top, width, height });
	connect();
}

function learn(about) {
	const isFirst = !state.about;
	Object.assign(state, { about, promise: about.promise });
	showPromise();
	refresh();
	if (!isFirst) return;
	guard(askAgain);
	offerSamples(about.samples);
	askAgain();
}

byId("slider").addEventListener("input", () => setThreshold(similarityOnSlider()));
byId("threshold").addEventListener("input", ({ target: { validity, value, valueAsNumber } }) => {
	if (validity.valid && value) setThreshold(valueAsNumber);
});
byId("filter").addEventListener("change", ({ target: { value } }) => {
	state.filter = value;
	// The filter may drop the source face.
	if (state.photos.source) state.photos.source.alone = null;
	ask();
});
// Arrow keys also click the radio button that they reach.
byId("faces").addEventListener("click", (event) => {
	const row = event.target.closest("tbody tr");
	if (row) choose(row.sectionRowIndex);
});
document.addEventListener("paste", ({ clipboardData }) => {
	const side = state.photos.source ? "target" : "source";
	take(side, [...clipboardData.files]);
});
for (const slot of [sourceSlot, targetSlot]) watchSlot(slot, (files) => take(slot.dataset.side, files));
for (const type of ["dragover", "drop"]) document.addEventListener(type, (event) => event.preventDefault());
const observer = new ResizeObserver(measure);
for (const element of document.querySelectorAll("#stage, .frame")) observer.observe(element);
watchServer(learn);
