// Who asks: nobody where the server is open, else a key that stays in this page's memory.

import { byId, make } from "./dom.js";
import { canSign, importKeys } from "./signing.js";

const TUNNEL = "open it over https, or through a tunnel: ssh -L 8080:localhost:8080 SERVER, then http://localhost:8080";

/** Says how the server is guarded and asks for keys where they are needed; `onChange()` is told of new keys. */
export function guard(about, session, onChange) {
	session.region ||= about.regions[0] ?? "us-east-1";
	const access = byId("access");
	const form = byId("sign-in");
	const reach = about.on_loopback ? "reaches this machine" : "reaches this server";
	if (!about.signed) {
		access.textContent = `This server is open: whoever ${reach} may compare faces.`;
	} else if (!canSign()) {
		access.textContent = `This server asks for signed requests, and browsers sign on safe pages only: ${TUNNEL}.`;
	} else if (session.keys) {
		const out = () => {
			session.keys = null;
			guard(about, session, onChange);
			onChange();
		};
		access.replaceChildren(`Signed in as ${session.keys.id}. `, make("button", { click: out }, "Sign out"));
	} else {
		access.textContent = "This server answers signed requests only.";
	}
	form.hidden = !about.signed || !canSign() || Boolean(session.keys);
	form.elements.region.value ||= session.region;
	form.onsubmit = async (event) => {
		event.preventDefault();
		const { id, secret, token, region } = form.elements;
		session.region = region.value.trim();
		session.keys = await importKeys({ id: id.value.trim(), secret: secret.value.trim(), token: token.value.trim() });
		form.reset();
		guard(about, session, onChange);
		onChange();
	};
}
