// False match rates of similarities: how often photos of different people reach them. The server's figures.

// "1 in 2,300", or "rarer than 1 in 72,000" below what the data support; "" without figures.
export function rarity(promise, similarity) {
	if (promise === false) return "not calibrated";
	if (!promise) return "";
	const { levels, rates, measured } = promise;
	const rarest = Math.max(rates.at(-1), measured);
	const rate = interpolate(levels, rates, Math.min(similarity, levels.at(-1)));
	const isBeyond = rate < rarest || similarity > levels.at(-1);
	const pairs = (10 ** -Math.max(rate, rarest)).toLocaleString("en", { maximumSignificantDigits: 2 });
	return `${isBeyond ? "rarer than " : ""}1 in ${pairs}`;
}

// The false match rate as a sentence.
export function raritySentence(promise, similarity) {
	if (promise === false) return "The pack is not calibrated: its false match rate is unknown.";
	const words = rarity(promise, similarity);
	const reach = words.startsWith("rarer") ? `so high a similarity is ${words}` : `${words} is this similar or more`;
	return words && `Of pairs of photos of ${promise.whom}, ${reach}.`;
}

// The position of a similarity on the scale, 0 to 1: decades have equal lengths, 99 to 100 is the last.
export const position = (promise, similarity) => interpolate(...scale(promise), similarity);

// The similarity at a position, to a tenth (above 99 to a hundredth).
export function similarityAt(promise, place) {
	const exact = interpolate(...scale(promise).reverse(), place);
	const steps = exact > 99 ? 100 : 10;
	return Math.round(exact * steps) / steps;
}

function scale(promise) {
	if (!promise) return [[0, 100], [0, 1]];
	const end = 1 - promise.rates.at(-1);
	return [[...promise.levels, 100], [...promise.rates.map((rate) => -rate / end), 1]];
}

function interpolate(xs, ys, x) {
	const next = Math.max(xs.findIndex((each) => each >= x), 1);
	return ys[next - 1] + ((x - xs[next - 1]) / (xs[next] - xs[next - 1])) * (ys[next] - ys[next - 1]);
}
