// Elements, made in one expression. Text is always text: nothing here reads HTML.

export const byId = (id) => document.getElementById(id);

/** An element with attributes (functions are listeners, `style` is an object) and children. */
export const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** The same in SVG. */
export const draw = (tag, attributes, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function fill(element, attributes, children) {
	for (const [name, value] of Object.entries(attributes)) {
		if (typeof value === "function") element.addEventListener(name, value);
		else if (name === "style") Object.entries(value).forEach((each) => element.style.setProperty(...each));
		else if (value !== false && value !== undefined) element.setAttribute(name, value);
	}
	element.append(...children);
	return element;
}

/** Arrow keys move through `items()`, of which only the chosen one is in the tab order. */
export function moveByArrows(container, items, choose) {
	container.addEventListener("keydown", (event) => {
		const all = items();
		const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -all.length, End: all.length };
		const at = all.indexOf(document.activeElement);
		if (!(event.key in steps) || at < 0) return;
		event.preventDefault();
		const next = Math.min(Math.max(at + steps[event.key], 0), all.length - 1);
		choose(next);
		items()[next].focus();
	});
}
