// A photo that a person chose; its bytes stay in its file.

const SIGNATURES = [
	["JPEG", /^\xff\xd8\xff/],
	["PNG", /^\x89PNG/],
	["a GIF", /^GIF8/],
	["a WebP", /^RIFF....WEBP/s],
	["an AVIF", /^....ftypavi/s],
	["a HEIC", /^....ftyp(hei|hev|mif|msf)/s],
	["a BMP", /^BM/],
	["a TIFF", /^(II\*\0|MM\0\*)/],
	["a PDF", /^%PDF/],
];

/** {name, file, bytes, format, url, width, height}; format and sizes are missing where they are not known. */
export async function readPhoto(file, name = file.name) {
	const head = new DataView(await file.slice(0, 24).arrayBuffer());
	const start = String.fromCharCode(...new Uint8Array(head.buffer));
	const format = SIGNATURES.find(([, pattern]) => pattern.test(start))?.[0];
	const photo = { name, file, bytes: file.size, format, url: URL.createObjectURL(file) };
	// The server reads a PNG as it is stored, also where its EXIF says that it is turned; browsers turn it.
	if (format === "PNG" && head.byteLength === 24) return { ...photo, width: head.getUint32(16), height: head.getUint32(20) };
	const image = new Image();
	image.src = photo.url;
	await image.decode().catch(() => {});
	return image.naturalWidth ? { ...photo, width: image.naturalWidth, height: image.naturalHeight } : photo;
}

/** The photo's bytes in base64. */
export function base64({ file }) {
	return new Promise((resolve, reject) => {
		const reader = new FileReader();
		reader.onload = () => resolve(reader.result.split(",")[1] ?? "");
		reader.onerror = () => reject(reader.error);
		reader.readAsDataURL(file);
	});
}

/** All files of a drop, those in folders too: {file, path}. */
export async function droppedFiles({ items }) {
	// What a drop holds can be asked for only before anything is awaited.
	const dropped = [...items].map((item) => ({ file: item.getAsFile(), entry: item.webkitGetAsEntry?.() }));
	const found = [];
	for (const { file, entry } of dropped) {
		if (entry?.isDirectory) await collect(entry, found);
		else if (file) found.push({ file, path: file.name });
	}
	return found;
}

async function collect(entry, found) {
	const ask = (name, from) => new Promise((resolve, reject) => from[name](resolve, reject));
	if (entry.isFile) {
		found.push({ file: await ask("file", entry), path: entry.fullPath.slice(1) });
		return;
	}
	const reader = entry.createReader();
	for (let some; (some = await ask("readEntries", reader)).length; ) for (const each of some) await collect(each, found);
}
