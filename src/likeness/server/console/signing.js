// AWS Signature Version 4 with Web Crypto.

const encoder = new TextEncoder();

// Browsers offer Web Crypto to pages over https or from this machine only.
export const canSign = () => globalThis.crypto?.subtle !== undefined;

// The secret as a key that the browser does not export.
export const importKeys = async ({ id, secret, token }) => ({ id, token, secret: await hmacKey(encoder.encode(`AWS4${secret}`)) });

// The headers to send with a POST of `body` to `url`.
export async function signedHeaders({ keys, url, headers, body, region }) {
	const stamp = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
	const sent = { ...headers, "X-Amz-Date": stamp, ...(keys.token && { "X-Amz-Security-Token": keys.token }) };
	// Browsers send Host themselves; pages cannot set it.
	const signed = [["Host", new URL(url).host], ...Object.entries(sent)];
	const { header } = await authorization({ method: "POST", url, headers: signed, body, stamp, keys, region, service: "rekognition" });
	return { ...sent, Authorization: header };
}

// The Authorization header and its intermediate values; all `headers`, [name, value] pairs, are signed.
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

async function canonicalRequest({ method, url, headers, body }) {
	const { pathname, searchParams } = new URL(url);
	const path = pathname.replace(/\/+/g, "/").split("/").map((part) => encode(decodeURIComponent(part))).join("/");
	// Sorted by name, then value: the NUL between them sorts first.
	const query = [...searchParams].map((pair) => pair.map(encode).join("\0")).sort().map((pair) => pair.replace("\0", "=")).join("&");
	const values = {};
	for (const [name, value] of headers) (values[name.toLowerCase()] ??= []).push(value.trim().replace(/\s+/g, " "));
	const sorted = Object.keys(values).sort();
	const names = sorted.join(";");
	const lines = sorted.map((name) => `${name}:${values[name].join(",")}`);
	return { canonical: [method, path, query, ...lines, "", names, await sha256(body)].join("\n"), names };
}

const encode = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (each) => `%${hex(encoder.encode(each)).toUpperCase()}`);
const hmacKey = (octets) => crypto.subtle.importKey("raw", octets, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
const hmac = (key, text) => crypto.subtle.sign("HMAC", key, encoder.encode(text));
const sha256 = async (octets) => hex(await crypto.subtle.digest("SHA-256", octets));
const hex = (buffer) => Array.from(new Uint8Array(buffer), (octet) => octet.toString(16).padStart(2, "0")).join("");
