// What went wrong, in words that need no knowledge of the service; its own code and text stand beside them.

import { isBusy } from "./patience.js";

const SMALLER = "Send a smaller copy.";
const GENERIC = /^(Request has invalid (parameters|image format)|Image size is too large)(: )?/;
const BUSY = "The server is busy|It has as many requests as it takes, or this key has used up its rate. Wait a little and repeat.";
/** Title and text by code. */
const WORDS = {
	Unreachable: "The server does not answer|It was stopped, or the network is down. Start it (likeness serve) and repeat.",
	InternalServerError: "Something broke in the server|This is a bug, not your photos' fault.",
	AccessDeniedException: "This key may not compare faces|Its policy does not allow it. Ask whoever keeps the keys.",
	MissingAuthenticationTokenException: "Sign in first|This server answers signed requests only.",
	UnrecognizedClientException: "The server does not know this key|It is mistyped or revoked, or the session token is another's.",
	ExpiredTokenException: "The session has expired|Get new credentials (likeness keys session) and sign in again.",
};

/**
 * A failure {status, code, text, requestId, date} as {title, text, reason, side}. `photos` are by side, `limits` the
 * server's, `faceless` is the side without a face, where that is known.
 */
export function inWords(failure, { photos, limits, faceless, now = new Date() }) {
	const { status, code = "", text = "", requestId } = failure;
	const side = /(source|target)(Image| photo)/i.exec(text)?.[1].toLowerCase();
	const found = (title, told, at = side) => ({ title, text: told, reason: reasonOf(text, requestId), side: at });
	const known = (title, told, at) => ({ ...found(title, told, at), reason: "" });
	const sides = Object.keys(photos);
	const format = sides.find((each) => !/^(JPEG|PNG|undefined)$/.test(photos[each].format));
	const small = sides.find((each) => Math.min(photos[each].width, photos[each].height) < limits.min_side_px);

	if (isBusy(failure)) return known(...BUSY.split("|"));
	if (code in WORDS) return found(...WORDS[code].split("|"));
	if (code === "InvalidParameterException" && small) {
		const { width, height } = photos[small];
		return known(`${named(small)} is too small`, `It has ${width} × ${height} pixels; each side needs ${limits.min_side_px} or more.`, small);
	}
	if (code === "InvalidParameterException") {
		const at = faceless ?? side;
		const where = at ? named(at).toLowerCase() : "one of the photos";
		return found(`No face was found in ${where}`, "Faces are found from about 40 pixels in a full-HD photo, if they pass the quality filter.", at);
	}
	if (code === "InvalidImageFormatException" && format) {
		const told = `${photos[format].name} is ${photos[format].format}; the server reads JPEG and PNG. Convert it first.`;
		return known(`${named(format)} has the wrong format`, told, format);
	}
	if (code === "InvalidImageFormatException") {
		return found(`${side ? named(side) : "One of the photos"} cannot be read`, "It is damaged, or neither JPEG nor PNG.");
	}
	if (code === "ImageTooLargeException") return found("A photo has too many pixels", `The server reads ${limits.max_pixels / 1e6} megapixels. ${SMALLER}`);
	if (code === "ValidationException" && side && text.includes("length less")) {
		const told = `It has ${mebibytes(photos[side]?.bytes ?? 0)}; the server takes ${mebibytes(limits.max_image_bytes)}. ${SMALLER}`;
		return known(`${named(side)} is too large`, told);
	}
	if (code === "InvalidSignatureException" && /expired|not yet/.test(text)) {
		const clocks = `This computer says ${clock(now)}, the server says ${clock(new Date(failure.date))}.`;
		return known("The clocks differ too much", `${clocks} Set the one that is wrong, then repeat.`);
	}
	if (code === "InvalidSignatureException") return known("The signature is wrong", "The secret is mistyped or another key's, or the region is not accepted.");
	if (status === 413) return known("The photos are too large", `Each may have ${mebibytes(limits.max_image_bytes)}. ${SMALLER}`);
	return found("The server refused the request", text || `It answered with status ${status}.`);
}

/** The reason that the server gives with verbose_errors, or where it can be read. */
function reasonOf(text, requestId) {
	const told = GENERIC.test(text) && text.replace(GENERIC, "");
	if (told) return `The server says: ${told}`;
	return requestId ? `The reason is in the server's log under the request id ${requestId}; verbose_errors = true shows it here.` : "";
}

const named = (side) => `The ${side} photo`;
const clock = (date) => date.toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC");
const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
