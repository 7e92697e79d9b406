// Explanations of errors that need no knowledge of the service.

import { isBusy } from "./retries.js";
import { state } from "./state.js";

// The service's code for a photo that has no face or is too small.
export const NO_FACE = "InvalidParameterException";

const SMALLER = "Send a smaller copy.";
const GENERIC = /^(Request has invalid (parameters|image format)|Image size is too large)(: )?/;
const WORDS = {
	Unreachable: ["The server does not answer", "It was stopped, or the network is down. Start it (likeness serve) and repeat."],
	Unreadable: ["A photo cannot be read any more", "It was moved or changed after you chose it. Choose it again."],
	InternalServerError: ["Something broke in the server", "This is a bug; your photos are not the cause."],
	AccessDeniedException: ["This key may not compare faces", "Its policy does not allow it. Ask the administrator of the keys."],
	UnrecognizedClientException: ["The server does not know this key", "It is mistyped or revoked, or the session token is another's."],
	ExpiredTokenException: ["The session has expired", "Get new credentials (likeness keys session) and sign in again."],
};

// A failure (server.js) as {title, text, reason}; `photos` by side.
export function inWords(failure, photos) {
	const [title, text] = titleAndText(failure, photos);
	return { title, text, reason: reasonOf(failure) };
}

function titleAndText({ status, code = "", text = "", date, faceless }, photos) {
	const { min_side_px, max_pixels, max_image_bytes } = state.about;
	const sideWhere = (test) => Object.keys(photos).find((each) => test(photos[each]));
	const side = /(source|target)(Image| photo)/i.exec(text)?.[1].toLowerCase();

	if (isBusy({ status, code })) return ["The server is busy", "It is at capacity, or this key has exceeded its rate. Try again later."];
	if (code in WORDS) return WORDS[code];
	if (code === NO_FACE) {
		const small = sideWhere(({ width, height }) => Math.min(width, height) < min_side_px);
		if (!small) return [`No face was found in ${named(faceless ?? side).toLowerCase()}`, "Faces are found from about 40 pixels in a full-HD photo, if they pass the quality filter."];
		const { width, height } = photos[small];
		return [`${named(small)} is too small`, `It has ${width} × ${height} pixels; each side needs ${min_side_px} or more.`];
	}
	if (code === "InvalidImageFormatException") {
		const other = sideWhere(({ isKnown }) => !isKnown);
		if (!other) return [`${named(side)} cannot be read`, "It is damaged."];
		return [`${named(other)} has the wrong format`, `${photos[other].name} is neither JPEG nor PNG. Convert it first.`];
	}
	if (code === "ImageTooLargeException") return ["A photo has too many pixels", `The server reads ${max_pixels / 1e6} megapixels. ${SMALLER}`];
	if (code === "ValidationException" && side && text.includes("length less")) {
		return [`${named(side)} is too large`, `It has ${mebibytes(photos[side]?.bytes ?? 0)}; the server takes ${mebibytes(max_image_bytes)}. ${SMALLER}`];
	}
	if (code === "InvalidSignatureException") {
		if (!/expired|not yet/.test(text)) return ["The signature is wrong", "The secret is mistyped or another key's, or the region is not accepted."];
		return ["The clocks differ too much", `This computer says ${clock()}, the server says ${clock(date)}. Set the one that is wrong, then repeat.`];
	}
	if (status === 413) return ["The photos are too large", `Each may have ${mebibytes(max_image_bytes)}. ${SMALLER}`];
	return ["The server refused the request", text || `It answered with status ${status}.`];
}

// The reason, which the server gives with verbose_errors, or where to find it.
function reasonOf({ text = "", requestId }) {
	const reason = GENERIC.test(text) && text.replace(GENERIC, "");
	if (reason) return `The server says: ${reason}`;
	return requestId ? `The reason is in the server's log under the request id ${requestId}; verbose_errors = true shows it here.` : "";
}

const named = (side) => (side ? `The ${side} photo` : "One of the photos");
const clock = (date = Date.now()) => new Date(date).toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC");
const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
