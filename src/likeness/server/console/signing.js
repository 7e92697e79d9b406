// AWS Signature Version 4 with Web Crypto.

const encoder = new TextEncoder();

/** Whether the browser lends its cryptography to this page: over https, or from this machine. */
export const canSign = () => globalThis.crypto?.subtle !== undefined;

/** Keys to sign with; the secret becomes a key that the browser never gives out again. */
export const importKeys = async ({ id, secret, token }) =>
	({ id, token: token || null, secret: await hmacKey(encoder.encode(`AWS4${secret}`)) });

/** The headers to send with a POST of `body` to `url`: `headers`, and the time, token and signature. */
export async function signedHeaders({ keys, url, headers, body, region, time = new Date() }) {
	const stamp = time.toISOString().replace(/[-:]|\.\d+/g, "");
	const sent = { ...headers, "X-Amz-Date": stamp, ...(keys.token && { "X-Amz-Security-Token": keys.token }) };
	const { host, pathname: path, search } = new URL(url);
	// The browser sends Host by itself, and lets no page set it.
	const signed = { headers: [["Host", host], ...Object.entries(sent)], method: "POST", path, query: search.slice(1), body };
	const { header } = await authorization({ ...signed, stamp, keys, region, service: "rekognition" });
	return { ...sent, Authorization: header };
}

/** The Authorization header, and what leads to it; all `headers`, [name, value] pairs, are signed. */
export async function authorization({ stamp, keys, region, service, ...request }) {
	const scope = `${stamp.slice(0, 8)}/${region}/${service}/aws4_request`;
	const { canonical, names } = await canonicalRequest(request);
	const toSign = ["AWS4-HMAC-SHA256", stamp, scope, await sha256(encoder.encode(canonical))].join("\n");
	let key = keys.secret;
	for (const part of scope.split("/")) key = await hmacKey(await hmac(key, part));
	const signature = hex(await hmac(key, toSign));
	const header = `AWS4-HMAC-SHA256 Credential=${keys.id}/${scope}, SignedHeaders=${names}, Signature=${signature}`;
	return { canonical, toSign, header };
}

async function canonicalRequest({ method, path, query, headers, body }) {
	const values = {};
	for (const [name, value] of headers) (values[name.toLowerCase()] ??= []).push(value.trim().replace(/\s+/g, " "));
	const sorted = Object.keys(values).sort();
	const lines = sorted.map((name) => `${name}:${values[name].join(",")}`);
	const names = sorted.join(";");
	const parts = [method, canonicalPath(path), canonicalQuery(query), ...lines, "", names, await sha256(body)];
	return { canonical: parts.join("\n"), names };
}

function canonicalPath(path) {
	const parts = [];
	for (const part of path.split("/")) {
		if (part === "..") parts.pop();
		else if (part !== "." && part !== "") parts.push(encode(part));
	}
	return `/${parts.join("/")}${parts.length && /\/\.{0,2}$/.test(path) ? "/" : ""}`;
}

function canonicalQuery(query) {
	const pairs = query.split("&").filter(Boolean).map((pair) => {
		const [name, ...value] = pair.split("=");
		return [name, value.join("=")].map((each) => encode(decodeURIComponent(each)));
	});
	return pairs.sort((one, other) => order(one[0], other[0]) || order(one[1], other[1])).map((pair) => pair.join("=")).join("&");
}

const order = (one, other) => (one < other ? -1 : Number(one > other));
const encode = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (each) => `%${hex(encoder.encode(each)).toUpperCase()}`);
const hmacKey = (octets) => crypto.subtle.importKey("raw", octets, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
const hmac = (key, text) => crypto.subtle.sign("HMAC", key, encoder.encode(text));
const sha256 = async (octets) => hex(await crypto.subtle.digest("SHA-256", octets));
const hex = (buffer) => Array.from(new Uint8Array(buffer), (octet) => octet.toString(16).padStart(2, "0")).join("");
