// SPDX-License-Identifier: Apache-2.0
// Elements made and filled. Whatever comes from the daemon becomes text, never markup.

export function byId(id) {
	return document.getElementById(id);
}

// An element: attributes by name (class, role, ...), `style` as an object; children: elements or text.
export function element(tag, attributes, ...children) {
	const made = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes ?? {})) {
		if (name === 'style')
			for (const [property, text] of Object.entries(value))
				made.style.setProperty(property, text);
		else if (value !== null && value !== undefined && value !== false)
			made.setAttribute(name, value);
	}
	made.append(...children.filter((child) => child !== null && child !== undefined));
	return made;
}

// Only where it differs: what is announced as it changes is not announced again and again.
export function setText(node, text) {
	if (node.textContent !== text)
		node.textContent = text;
}

const shown = new WeakMap();

// Fills a node with what `make` returns, if `data` is not what it shows already.
export function fill(node, data, make) {
	const text = JSON.stringify(data);
	if (shown.get(node) === text)
		return;
	shown.set(node, text);
	node.replaceChildren(...make());
}
