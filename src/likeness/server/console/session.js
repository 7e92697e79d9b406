// Who asks: nobody where the server is open, else a key that stays in this page's memory.

import { byId, make } from "./dom.js";
import { canSign, importKeys } from "./signing.js";

const UNSAFE = "This server asks for signed requests, and browsers sign on safe pages only: open it over https, or through a "
	+ "tunnel: ssh -L 8080:localhost:8080 SERVER, then http://localhost:8080.";

/** Says how the server is guarded and asks for keys where they are needed; `onChange()` is told of new ones. */
export function guard(about, session, onChange) {
	const [access, form] = [byId("access"), byId("sign-in")];
	const changeTo = (keys) => {
		session.keys = keys;
		guard(about, session, onChange);
		onChange();
	};
	session.region ||= about.regions[0] ?? "us-east-1";
	form.hidden = !about.signed || !canSign() || Boolean(session.keys);
	form.elements.region.value ||= session.region;
	if (!about.signed) access.textContent = "This server is open: whoever can connect to it may compare faces.";
	else if (!canSign()) access.textContent = UNSAFE;
	else if (!session.keys) access.textContent = "This server answers signed requests only.";
	else access.replaceChildren(`Signed in as ${session.keys.id}. `, make("button", { click: () => changeTo(null) }, "Sign out"));
	form.onsubmit = async (event) => {
		event.preventDefault();
		const { region, ...keys } = Object.fromEntries(Array.from(new FormData(form), ([name, value]) => [name, value.trim()]));
		session.region = region;
		form.reset();
		changeTo(await importKeys(keys));
	};
}
