// A photo that the user chose; its bytes stay in its file.

// {name, file, bytes, url, isKnown (JPEG or PNG), isPng, width, height}; no sizes if the browser cannot read the photo.
export async function readPhoto(file) {
	const start = String(new Uint8Array(await file.slice(0, 4).arrayBuffer().catch(() => [])));
	const isPng = start === "137,80,78,71";
	const name = file.path || file.webkitRelativePath || file.name;
	const photo = { name, file, bytes: file.size, url: URL.createObjectURL(file), isPng, isKnown: isPng || start.startsWith("255,216") };
	// The server ignores the EXIF orientation of a PNG; browsers apply it.
	const image = await createImageBitmap(file, { imageOrientation: isPng ? "none" : "from-image" }).catch(() => null);
	const { width, height } = image ?? {};
	image?.close();
	return { ...photo, width, height };
}

export const base64 = ({ file }) =>
	new Promise((resolve, reject) => {
		const reader = new FileReader();
		reader.onload = () => resolve(reader.result.split(",")[1] ?? "");
		reader.onerror = () => reject(reader.error);
		reader.readAsDataURL(file);
	});

// All files of a drop; those in folders have a `path`.
export async function droppedFiles({ items }) {
	// The items of a drop are available only before the first await.
	const dropped = [...items].map((item) => [item.getAsFile(), item.webkitGetAsEntry?.()]);
	const found = dropped.map(([file, entry]) => (entry?.isDirectory ? filesIn(entry) : (file ?? [])));
	return (await Promise.all(found)).flat();
}

async function filesIn(entry) {
	const ask = (name, from) => new Promise((resolve, reject) => from[name](resolve, reject));
	if (entry.isFile) return [Object.assign(await ask("file", entry), { path: entry.fullPath.slice(1) })];
	const [reader, found] = [entry.createReader(), []];
	// A folder is read in parts, of which the last is empty.
	for (let some; (some = await ask("readEntries", reader)).length; ) for (const each of some) found.push(...await filesIn(each));
	return found;
}
