// What went wrong, in words that need no knowledge of the service; its own code and text stand beside them.

import { isBusy } from "./patience.js";

const SIDES = { source: "The source photo", target: "The target photo" };
const GENERIC = /^(Request has invalid parameters|Request has invalid image format|Image size is too large)/;

// Each {title, text}; those of OPEN leave the reason to the server, and `side` is the photo at fault.
const OPEN = {
	Unreachable: ["The server does not answer", "It was stopped, or the network is down. Start it (likeness serve) and repeat."],
	InternalServerError: ["Something broke in the server", "This is a bug, not your photos' fault."],
};
const CLEAR = {
	AccessDeniedException: ["This key may not compare faces", "Its policy does not allow rekognition:CompareFaces. Ask whoever keeps the keys."],
	MissingAuthenticationTokenException: ["Sign in first", "This server answers signed requests only."],
	UnrecognizedClientException: ["The server does not know this key", "The access key is mistyped or revoked, or the session token belongs to another."],
	ExpiredTokenException: ["The session has expired", "Get new credentials (likeness keys session) and sign in again."],
	Busy: ["The server is busy", "It has as many requests as it takes, or this key has used up its rate. Wait a little and repeat."],
};
const RULES = {
	InvalidParameterException: noFaceOrTooSmall,
	InvalidImageFormatException: wrongFormat,
	ImageTooLargeException: (_, { limits }) => open("A photo has too many pixels", `The server reads ${limits.max_pixels / 1e6} megapixels. Send a smaller copy.`),
	ValidationException: tooManyBytes,
	InvalidSignatureException: wrongSignature,
};

/**
 * A failure {status, code, text, requestId, date} as {title, text, reason, side}. `photos` have name, width, height, bytes
 * and format; `limits` are the server's; `faceless` is the side without a face, where that is known.
 */
export function inWords(failure, { photos, limits, faceless, now = new Date() }) {
	const { code } = failure;
	const known = RULES[code]?.(failure, { photos, limits, faceless, now });
	if (known) return { reason: known.clear ? "" : reasonOf(failure), ...known };
	const words = isBusy(failure) ? CLEAR.Busy : CLEAR[code];
	if (words) return { ...clear(...words), reason: "" };
	return { ...open(...(OPEN[code] ?? byStatus(failure, limits))), reason: reasonOf(failure) };
}

const open = (title, text, side) => ({ title, text, side });
const clear = (title, text, side) => ({ title, text, side, clear: true });

/** The reason that the server gives with verbose_errors, or where it can be read. */
function reasonOf({ text = "", requestId }) {
	const [generic] = GENERIC.exec(text) ?? [""];
	if (generic && text.length > generic.length) return `The server says: ${text.slice(generic.length + 2)}`;
	return requestId ? `The reason is in the server's log under the request id ${requestId}; verbose_errors = true shows it here.` : "";
}

function noFaceOrTooSmall({ text }, { photos, limits, faceless }) {
	for (const [side, who] of Object.entries(SIDES)) {
		const { width, height } = photos[side] ?? {};
		if (Math.min(width, height) < limits.min_side_px) {
			return clear(`${who} is too small`, `It has ${width} × ${height} pixels; each side needs ${limits.min_side_px} or more.`, side);
		}
	}
	const side = faceless ?? sideIn(text);
	const where = side ? SIDES[side].toLowerCase() : "one of the photos";
	return open(`No face was found in ${where}`, "Faces are found from about 40 pixels' width in a full-HD photo, if they pass the quality filter.", side);
}

function wrongFormat({ text }, { photos }) {
	for (const [side, who] of Object.entries(SIDES)) {
		const { format, name } = photos[side] ?? {};
		if (format && !/^(JPEG|PNG)$/.test(format)) {
			return clear(`${who} has the wrong format`, `${name} is ${format}; the server reads JPEG and PNG. Convert it first.`, side);
		}
	}
	const side = sideIn(text);
	return open(`${SIDES[side] ?? "One of the photos"} cannot be read`, "It is damaged, or neither JPEG nor PNG.", side);
}

function tooManyBytes({ text = "" }, { photos, limits }) {
	const side = sideIn(text);
	if (!side || !text.includes("length less than or equal")) return null;
	const told = `It has ${mebibytes(photos[side]?.bytes ?? 0)}; the server takes ${mebibytes(limits.max_image_bytes)}. Send a smaller copy.`;
	return clear(`${SIDES[side]} is too large`, told, side);
}

function wrongSignature({ text = "", date }, { now }) {
	if (!/expired|not yet current/i.test(text)) {
		return clear("The signature is wrong", "The secret is mistyped or another key's, or the server does not accept the region.");
	}
	const clocks = `This computer says ${clock(now)}, the server says ${date ? clock(new Date(date)) : "another time"}.`;
	return clear("The clocks differ too much", `${clocks} Set the one that is wrong, then repeat.`);
}

function byStatus({ status, text }, limits) {
	if (status === 413) return ["The photos are too large", `Each may have ${mebibytes(limits.max_image_bytes)}. Send smaller copies.`];
	if (status === 408) return ["The photos took too long to arrive", "The connection is slow. Send smaller copies, or repeat."];
	return ["The server refused the request", text || `It answered with status ${status}.`];
}

const sideIn = (text = "") => /(source|target)(Image| photo)/i.exec(text)?.[1].toLowerCase();
const clock = (date) => date.toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC");
const mebibytes = (bytes) => `${(bytes / 2 ** 20).toLocaleString("en", { maximumFractionDigits: 1 })} MiB`;
