// The caller's key, in memory only; none if the server is open.

import { byId, make } from "./dom.js";
import { canSign, importKeys } from "./signing.js";
import { state } from "./state.js";

const UNSAFE = "This server asks for signed requests, and browsers sign on safe pages only: open it over https, or through a tunnel "
	+ "(ssh -L 8080:localhost:8080 SERVER, then http://localhost:8080).";

// Shows whether the server needs a key, and asks for it.
export function guard(onChange) {
	const { about: { signed, regions }, keys } = state;
	const [access, form] = [byId("access"), byId("sign-in")];
	const changeTo = (changed) => {
		state.keys = changed;
		guard(onChange);
		onChange();
	};
	state.region ||= regions[0] ?? "us-east-1";
	form.hidden = !signed || !canSign() || Boolean(keys);
	form.elements.region.value ||= state.region;
	if (!signed) access.textContent = "This server is open: anyone who can connect to it may compare faces.";
	else if (!canSign()) access.textContent = UNSAFE;
	else if (!keys) access.textContent = "This server answers signed requests only.";
	else access.replaceChildren(`Signed in as ${keys.id}. `, make("button", { click: () => changeTo(null) }, "Sign out"));
	form.onsubmit = async (event) => {
		event.preventDefault();
		const [id, secret, token, region] = [...new FormData(form).values()].map((value) => value.trim());
		state.region = region;
		form.reset();
		changeTo(await importKeys({ id, secret, token }));
	};
}
