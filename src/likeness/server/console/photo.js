// A photo that a person chose: its bytes stay in the file, the page shows it by an address of its own.

const SIGNATURES = [
	["JPEG", /^\xff\xd8\xff/],
	["PNG", /^\x89PNG\r\n\x1a\n/],
	["a GIF", /^GIF8/],
	["a WebP", /^RIFF....WEBP/s],
	["an AVIF", /^....ftypavi/s],
	["a HEIC", /^....ftyp(hei|hev|mif|msf)/s],
	["a BMP", /^BM/],
	["a TIFF", /^(II\*\0|MM\0\*)/],
	["a PDF", /^%PDF/],
];

/** {name, file, bytes, format, url, width, height}; format null where it is unknown, sizes 0 where nothing shows. */
export async function readPhoto(file, name = file.name) {
	const head = new DataView(await file.slice(0, 24).arrayBuffer());
	const start = String.fromCharCode(...new Uint8Array(head.buffer));
	const format = SIGNATURES.find(([, pattern]) => pattern.test(start))?.[0] ?? null;
	const url = URL.createObjectURL(file);
	const size = format === "PNG" && head.byteLength === 24 ? pngSize(head) : await shownSize(url);
	return { name, file, bytes: file.size, format, url, ...size };
}

/** The server reads a PNG as it is stored, also where it says that it is turned. */
const pngSize = (head) => ({ width: head.getUint32(16), height: head.getUint32(20) });

/** A JPEG's size as turned by its EXIF orientation: the frame of the server's boxes. */
async function shownSize(url) {
	const image = new Image();
	image.src = url;
	try {
		await image.decode();
		return { width: image.naturalWidth, height: image.naturalHeight };
	} catch {
		return { width: 0, height: 0 };
	}
}

/** The photo's bytes in base64. */
export function base64(photo) {
	return new Promise((resolve, reject) => {
		const reader = new FileReader();
		reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
		reader.onerror = () => reject(reader.error);
		reader.readAsDataURL(photo.file);
	});
}

/** Lets go of a photo that is shown no more. */
export const forget = (photo) => photo && URL.revokeObjectURL(photo.url);

/** All files of a drop, those in folders too: {file, path}. */
export async function droppedFiles({ items }) {
	// What a drop holds can be asked for only now, before anything is awaited.
	const dropped = [...items].map((item) => ({ file: item.getAsFile(), entry: item.webkitGetAsEntry?.() }));
	const found = [];
	for (const { file, entry } of dropped) {
		if (entry?.isDirectory) await collect(entry, found);
		else if (file) found.push({ file, path: file.name });
	}
	return found;
}

async function collect(entry, found) {
	const ask = (call) => new Promise((resolve, reject) => call(resolve, reject));
	if (entry.isFile) {
		found.push({ file: await ask((...done) => entry.file(...done)), path: entry.fullPath.slice(1) });
		return;
	}
	const reader = entry.createReader();
	for (;;) {
		const some = await ask((...done) => reader.readEntries(...done));
		if (!some.length) return;
		for (const each of some) await collect(each, found);
	}
}
