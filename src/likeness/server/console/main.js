// What a person does here, and what follows. A pair is asked once, at threshold 0; the threshold is applied here.

import { facesAt, ownFace } from "./answer.js";
import { showCode } from "./code.js";
import { byId, make, moveByArrows } from "./dom.js";
import { fillTable, markTable, shown, sourceDetails, targetDetails, verdict } from "./findings.js";
import { Many } from "./many.js";
import { patiently } from "./patience.js";
import { base64, readPhoto } from "./photo.js";
import { join, Picture } from "./picture.js";
import { inWords } from "./problems.js";
import { rarity } from "./promise.js";
import { Scale } from "./scale.js";
import { compare, watchServer } from "./server.js";
import { guard } from "./session.js";
import { slot } from "./slot.js";

const SOURCE = -1;
const SIDES = ["source", "target"];
const state = {
	about: null,
	session: { keys: null },
	threshold: 80,
	filter: "NONE",
	photos: {},
	waiting: null,
	result: null,
	faces: [],
	own: null,
	chosen: 0,
	asking: null,
};

const build = (side, title, choose) => {
	const parts = slot(side, title, {
		onFiles: (files) => take(side, files),
		onSample: (name) => sample(side, name),
		folders: side === "target",
	});
	byId("joins").before(parts.figure);
	return { ...parts, picture: new Picture(parts.frame, choose) };
};
const slots = { source: build("source", "Source", () => choose(SOURCE)), target: build("target", "Target", choose) };
const scale = new Scale(byId("scale"), setThreshold);
const many = new Many(state, ({ photo, source, result }) => {
	show("source", source);
	show("target", photo);
	state.asking?.abort();
	state.asking = new AbortController();
	clear();
	settle(result);
	byId("stage").scrollIntoView();
});

/** Files for one side: one photo, or many targets. */
async function take(side, files) {
	if (side === "target" && files.length > 1) {
		state.waiting = files;
		return runMany();
	}
	if (side === "target") state.waiting = null;
	show(side, await readPhoto(files[0].file, files[0].path));
	return askAgain();
}

async function sample(side, name) {
	const response = await fetch(`console/samples/${name}`);
	if (response.ok) await take(side, [{ file: await response.blob(), path: name }]);
}

function show(side, photo) {
	const { figure, name, size, picture } = slots[side];
	state.photos[side] = photo;
	picture.show(photo);
	figure.classList.add("filled");
	name.textContent = photo.name;
	size.textContent = photo.width ? `${photo.width} × ${photo.height} px` : "";
	byId("start").hidden = true;
}

function mayAsk() {
	const { about, session } = state;
	if (about?.signed && !session.keys) tell("Sign in first: this server answers signed requests only.");
	return about && (!about.signed || session.keys);
}

const askAgain = () => (state.waiting ? runMany() : ask());

function runMany() {
	const { photos, waiting } = state;
	if (!photos.source) return tell(`Now choose the source photo: ${waiting.length} target photos wait for it.`);
	if (!mayAsk()) return undefined;
	state.waiting = null;
	tell("");
	return many.run(photos.source, waiting);
}

/** Asks the server to compare the two photos. */
async function ask() {
	const { source, target } = state.photos;
	state.asking?.abort();
	clear();
	if (!source || !target || !mayAsk()) return;
	state.asking = new AbortController();
	tell(state.about.ready ? "Comparing…" : "The server's engine is being loaded; the answer follows.");
	const result = await request(source, target);
	if (result) await settle(result);
}

/** What the server says of two photos; null when something else was asked meanwhile. */
async function request(source, target) {
	const { filter, session, about, asking } = state;
	const signal = asking?.signal;
	const [from, to] = await Promise.all([base64(source), base64(target)]);
	const onPause = (ms) => tell(`The server is busy: trying again in ${(ms / 1000).toFixed(1)} s.`);
	const once = () => compare({ source: from, target: to, filter, session, signal, about });
	const result = await patiently(once, { signal, onPause, attempts: 3 }).catch(() => null);
	return signal?.aborted ? null : result;
}

async function settle(result) {
	const { photos: { source }, about } = state;
	state.result = result;
	if (!result.answer) return fail(result);
	state.faces = facesAt(result.answer, state.threshold);
	state.chosen = state.faces.length ? 0 : SOURCE;
	slots.target.picture.faces(state.faces.map(({ face, similarity }, index) => ({ face, label: `${index + 1} · ${shown(similarity)}` })));
	fillTable(byId("faces"), state.faces, about.promise, choose);
	describeSource(source.own ?? result.answer.SourceImageFace);
	document.documentElement.dataset.drawnMs = await drawn(result.arrived);
	if (source.own) return undefined;
	// The answer has only the source face's box; the photo compared with itself tells the rest.
	const alone = await request(source, source);
	if (!alone?.answer || state.result !== result) return undefined;
	source.own = ownFace(alone.answer);
	return describeSource(source.own);
}

function describeSource(own) {
	state.own = own;
	slots.source.picture.faces([{ face: own, label: "source" }]);
	refresh();
}

/** Milliseconds from an answer's arrival until it is painted. */
const drawn = (arrived) =>
	new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => resolve((performance.now() - arrived).toFixed(1)))));

/** Says what went wrong; where it is a face that was not found, finds out in which photo. */
async function fail(result) {
	const { photos, about } = state;
	const say = (faceless) => {
		const { title, text, reason, side } = inWords(result, { photos, limits: about, faceless });
		for (const each of SIDES) slots[each].figure.classList.toggle("at-fault", each === side);
		const code = [result.code || `status ${result.status}`, result.text].filter(Boolean).join(": ");
		byId("told").replaceChildren(make("div", { class: "problem" },
			make("h2", {}, title), make("p", {}, text), make("p", {}, reason),
			make("p", { class: "small" }, "Code of the service: ", make("code", {}, code))));
		return side;
	};
	if (say() || result.code !== "InvalidParameterException") return;
	const alone = await request(photos.source, photos.source);
	if (alone && state.result === result) say(alone.answer ? "target" : "source");
}

function clear() {
	Object.assign(state, { result: null, faces: [] });
	byId("findings").hidden = byId("code").hidden = true;
	tell("");
	for (const { figure, picture } of Object.values(slots)) {
		figure.classList.remove("at-fault");
		picture.faces([]);
	}
	refresh();
	connect();
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
	const { about, faces, chosen, threshold, result, own, session, filter, photos } = state;
	const promise = about?.promise;
	byId("threshold-rate").textContent = rarity(promise, threshold);
	scale.show(threshold, faces, chosen);
	if (!result?.answer) return;
	slots.target.picture.mark(faces.map(({ similarity, matched }, index) => ({
		kind: matched ? "match" : "other",
		name: `Face ${index + 1}: ${verdict(matched)}, similarity ${shown(similarity)}, ${rarity(promise, similarity)}`,
	})), chosen);
	slots.source.picture.mark([{ kind: "source", name: "Source face" }], chosen === SOURCE ? 0 : -1);
	// Measured before the table is there: laying out a page twice is what takes time.
	connect();
	byId("findings").hidden = false;
	markTable(byId("faces"), faces, chosen);
	byId("face").replaceChildren(...(chosen === SOURCE ? sourceDetails(own) : targetDetails(faces[chosen], chosen + 1, promise, threshold)));
	const matches = faces.filter(({ matched }) => matched).length;
	tell(`${faces.length} ${faces.length === 1 ? "face" : "faces"} compared, ${matches} at or above the threshold.`);
	showCode({ ...photos, answer: result.answer, threshold, filter, session, about });
}

/** The lines between the source face and its matches. */
function connect() {
	const { faces, chosen } = state;
	const places = slots.target.picture.places();
	join(byId("joins"), slots.source.picture.places()[0], faces.map(({ matched }, index) => matched && places[index]), chosen);
}

function tell(text) {
	byId("told").replaceChildren(make("p", {}, text));
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
	byId("samples").hidden = !about.samples.length;
	refresh();
	if (first) askAgain();
}

byId("samples").addEventListener("click", async () => {
	await sample("source", "obama.jpg");
	await sample("target", "obama2.jpg");
});
byId("threshold").addEventListener("input", ({ target }) => {
	if (target.validity.valid && target.value) setThreshold(target.valueAsNumber);
});
byId("filter").addEventListener("change", ({ target }) => {
	state.filter = target.value;
	ask();
});
moveByArrows(byId("faces"), () => [...byId("faces").querySelectorAll("button")], choose);
document.addEventListener("paste", ({ clipboardData }) => {
	const files = [...clipboardData.files].map((file) => ({ file, path: file.name }));
	const side = document.activeElement.closest(".slot")?.dataset.side ?? SIDES[Number(Boolean(state.photos.source))];
	if (files.length) take(side, files);
});
for (const type of ["dragover", "drop"]) document.addEventListener(type, (event) => event.preventDefault());
new ResizeObserver(connect).observe(byId("stage"));
watchServer(learn);
