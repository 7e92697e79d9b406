// Creates elements. Text is never parsed as HTML.

export const byId = (id) => document.getElementById(id);

// Attributes that are functions are listeners; `style` is an object.
export const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

export const draw = (tag, attributes, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

export const path = (kind, d) => draw("path", { class: kind, d });

function fill(element, attributes, children) {
	for (const [name, value] of Object.entries(attributes)) {
		if (typeof value === "function") element.addEventListener(name, value);
		else if (name === "style") Object.entries(value).forEach((each) => element.style.setProperty(...each));
		else if (value !== false && value !== undefined) element.setAttribute(name, value);
	}
	element.append(...children);
	return element;
}
