// The page: what a person does here, and what follows from it. One comparison is asked once, at threshold 0; the
// threshold is applied here.

import { facesAt, ownFace } from "./answer.js";
import { showCode } from "./code.js";
import { byId, make, moveByArrows } from "./dom.js";
import { fillTable, markTable, shown, sourceDetails, targetDetails, verdict } from "./findings.js";
import { Many } from "./many.js";
import { patiently } from "./patience.js";
import { base64, forget, readPhoto } from "./photo.js";
import { join, Picture } from "./picture.js";
import { inWords } from "./problems.js";
import { rarity } from "./promise.js";
import { Scale } from "./scale.js";
import { compare, watchServer } from "./server.js";
import { guard } from "./session.js";
import { slot } from "./slot.js";

const SOURCE = -1;
const state = {
	about: null,
	session: { keys: null, region: "" },
	threshold: 80,
	filter: "NONE",
	photos: { source: null, target: null },
	waiting: null,
	result: null,
	faces: [],
	own: null,
	chosen: 0,
	asking: null,
};

const slots = {
	source: slot("source", "Source", { onFiles: (files) => take("source", files), onSample: (name) => sample("source", name) }),
	target: slot("target", "Target", {
		onFiles: (files) => take("target", files), onSample: (name) => sample("target", name), folders: true,
	}),
};
byId("stage").prepend(slots.source.figure, slots.target.figure);
const pictures = {
	source: new Picture(slots.source.frame, () => choose(SOURCE)),
	target: new Picture(slots.target.frame, choose),
};
const scale = new Scale(byId("scale"), setThreshold);
const many = new Many(state, ({ photo, source, result }) => {
	state.photos = { source, target: photo };
	for (const side of ["source", "target"]) showPhoto(side);
	settle(result);
	byId("stage").scrollIntoView();
});

/** Files for one side: one photo, or many targets. */
async function take(side, files) {
	if (side === "target" && files.length > 1) {
		state.waiting = files;
		return runMany();
	}
	const photo = await readPhoto(files[0].file, files[0].path);
	if (side === "target") state.waiting = null;
	const before = state.photos[side];
	state.photos[side] = photo;
	showPhoto(side);
	if (before && side === "source") forget(before);
	if (state.waiting) return runMany();
	return ask();
}

async function sample(side, name) {
	const response = await fetch(`console/samples/${encodeURIComponent(name)}`);
	if (response.ok) await take(side, [{ file: await response.blob(), path: name }]);
}

function showPhoto(side) {
	const photo = state.photos[side];
	const { figure, name, size } = slots[side];
	pictures[side].show(photo);
	figure.classList.toggle("filled", Boolean(photo));
	name.textContent = photo.name;
	size.textContent = photo.width ? `${photo.width} × ${photo.height} px` : "";
	byId("start").hidden = true;
}

function runMany() {
	if (!state.photos.source) return tell(`Now choose the source photo: ${state.waiting.length} target photos wait for it.`);
	if (!mayAsk()) return undefined;
	const files = state.waiting;
	state.waiting = null;
	return many.run(state.photos.source, files);
}

function mayAsk() {
	if (!state.about) return false;
	if (!state.about.signed || state.session.keys) return true;
	tell("Sign in first: this server answers signed requests only.");
	return false;
}

/** Asks the server to compare the two photos. */
async function ask() {
	const { source, target } = state.photos;
	state.asking?.abort();
	clear();
	if (!source || !target || !mayAsk()) return;
	const asking = (state.asking = new AbortController());
	tell(state.about.ready ? "Comparing…" : "The server's engine is being loaded; the answer follows.");
	try {
		const result = await request(source, target, asking.signal);
		if (!asking.signal.aborted) await settle(result);
	} catch (error) {
		if (!asking.signal.aborted) throw error;
	}
}

async function request(source, target, signal) {
	const [from, to] = await Promise.all([base64(source), base64(target)]);
	const { filter, session } = state;
	const onPause = (ms) => tell(`The server is busy: trying again in ${(ms / 1000).toFixed(1)} s.`);
	return patiently(() => compare({ source: from, target: to, filter, session, signal, about: state.about }), { signal, onPause, attempts: 3 });
}

/** Shows what came back. */
async function settle(result) {
	state.result = result;
	if (!result.answer) return fail(result);
	const { source } = state.photos;
	state.faces = facesAt(result.answer, state.threshold);
	state.own = source.own ?? result.answer.SourceImageFace;
	state.chosen = state.faces.length ? 0 : SOURCE;
	pictures.source.faces([{ face: state.own, label: "source" }]);
	pictures.target.faces(state.faces.map(({ face, similarity }, index) => ({ face, label: `${index + 1} · ${shown(similarity)}` })));
	fillTable(byId("faces"), state.faces, state.about.promise, choose);
	refresh();
	document.documentElement.dataset.drawnMs = await drawn(result.arrived);
	if (!source.own) await describeSource(source);
	return undefined;
}

/** Milliseconds from an answer's arrival until it is painted. */
const drawn = (arrived) =>
	new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => resolve((performance.now() - arrived).toFixed(1)))));

/** The answer has only the source face's box; the photo compared with itself tells the rest. */
async function describeSource(source) {
	const result = await request(source, source, state.asking?.signal).catch(() => null);
	source.own = result?.answer ? ownFace(result.answer) : null;
	if (!source.own || state.photos.source !== source || !state.result?.answer) return;
	state.own = source.own;
	pictures.source.faces([{ face: state.own, label: "source" }]);
	refresh();
}

/** Says what went wrong; where it is a face that was not found, finds out in which photo. */
async function fail(result) {
	const { source, target } = state.photos;
	const photos = { source, target };
	const say = (faceless) => {
		const { title, text, reason, side } = inWords(result, { photos, limits: state.about, faceless });
		for (const each of ["source", "target"]) slots[each].figure.classList.toggle("at-fault", each === side);
		const code = result.code ? `${result.code}${result.text ? `: ${result.text}` : ""}` : `status ${result.status}`;
		byId("told").replaceChildren(make("div", { class: "problem" },
			make("h2", {}, title), make("p", {}, text), ...(reason ? [make("p", {}, reason)] : []),
			make("p", { class: "small" }, "Code of the service: ", make("code", {}, code))));
		return side;
	};
	const isNoFace = result.code === "InvalidParameterException" && !say(null);
	if (!isNoFace) return say(null);
	const alone = await request(source, source, state.asking?.signal).catch(() => null);
	if (alone && state.result === result) say(alone.answer ? "target" : "source");
	return undefined;
}

function clear() {
	state.result = null;
	state.faces = [];
	byId("findings").hidden = true;
	byId("code").hidden = true;
	tell("");
	for (const side of ["source", "target"]) {
		slots[side].figure.classList.remove("at-fault");
		pictures[side].faces([]);
	}
	connect();
	scale.show(state.threshold, [], SOURCE);
}

function choose(index) {
	state.chosen = index;
	refresh();
}

function setThreshold(threshold) {
	state.threshold = threshold;
	byId("threshold").value = threshold;
	if (state.result?.answer) state.faces = facesAt(state.result.answer, threshold);
	refresh();
	many.refresh();
}

/** Brings everything that hangs on threshold and choice up to date; asks nothing. */
function refresh() {
	const { about, faces, chosen, threshold, result, own } = state;
	byId("threshold-rate").textContent = rarity(about?.promise, threshold);
	scale.show(threshold, faces, chosen);
	if (!result?.answer) return;
	const kinds = faces.map(({ matched }) => (matched ? "match" : "other"));
	const names = faces.map(({ similarity, matched }, index) =>
		`Face ${index + 1}: ${verdict(matched)}, similarity ${shown(similarity)}, ${rarity(about.promise, similarity)}`);
	pictures.target.mark(kinds, names, chosen);
	pictures.source.mark(["source"], ["Source face"], chosen === SOURCE ? 0 : -1);
	// Measured before the table is there: laying out a page twice is what takes time.
	connect();
	byId("findings").hidden = false;
	markTable(byId("faces"), faces, chosen);
	byId("face").replaceChildren(...(chosen === SOURCE ? sourceDetails(own) : targetDetails(faces[chosen], chosen + 1, about.promise, threshold)));
	const matches = kinds.filter((kind) => kind === "match").length;
	const counted = faces.length === 1 ? "1 face" : `${faces.length} faces`;
	tell(faces.length ? `${counted} compared, ${matches} at or above the threshold.` : "No face of the target photo was compared.");
	showCode({ ...state.photos, answer: result.answer, threshold, filter: state.filter, session: state.session, about });
}

/** The lines between the source face and its matches. */
function connect() {
	const [from] = state.faces.length ? pictures.source.places() : [];
	const places = pictures.target.places().map((place, index) => (state.faces[index]?.matched ? place : null));
	join(byId("joins"), from, places, state.chosen);
}

function tell(text) {
	byId("told").replaceChildren(...(text ? [make("p", {}, text)] : []));
}

function askAgain() {
	if (state.waiting) runMany();
	else ask();
}

function learn(about) {
	const first = !state.about;
	state.about = about;
	guard(about, state.session, askAgain);
	scale.promise(about.promise);
	for (const { samples } of Object.values(slots)) {
		samples.hidden = !about.samples.length;
		samples.replaceChildren(make("option", { value: "" }, "Sample…"), ...about.samples.map((name) => make("option", {}, name)));
	}
	byId("samples").hidden = about.samples.length < 2;
	refresh();
	if (first) askAgain();
}

byId("samples").addEventListener("click", async () => {
	const { samples } = state.about;
	const pair = samples.includes("obama.jpg") && samples.includes("obama2.jpg") ? ["obama.jpg", "obama2.jpg"] : samples;
	await sample("source", pair[0]);
	await sample("target", pair[1]);
});
byId("threshold").addEventListener("input", (event) => {
	if (event.target.validity.valid && event.target.value !== "") setThreshold(event.target.valueAsNumber);
});
byId("filter").addEventListener("change", (event) => {
	state.filter = event.target.value;
	if (state.photos.source) state.photos.source.own = undefined;
	ask();
});
moveByArrows(byId("faces"), () => [...byId("faces").querySelectorAll(".row-button")], choose);
document.addEventListener("paste", (event) => {
	const files = [...event.clipboardData.files].map((file) => ({ file, path: file.name }));
	const focused = document.activeElement.closest(".slot")?.dataset.side;
	if (files.length) take(focused ?? (state.photos.source ? "target" : "source"), files);
});
for (const side of ["dragover", "drop"]) document.addEventListener(side, (event) => event.preventDefault());
new ResizeObserver(connect).observe(byId("stage"));
refresh();
watchServer(learn);
