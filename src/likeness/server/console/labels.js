// Label placement: next to its box, within the photo, not over other labels or faces.

const GAP = 2;

// {x, y, isFree} for each label; the first choice if no place is free. In px: `boxes` {x, y, width, height}, the most
// important first, `sizes` and `area` {width, height}.
export function placeLabels(boxes, sizes, area) {
	// A label may cover the edge of a face, not its centre.
	const taken = boxes.map(({ x, y, width, height }) => ({ x: x + width / 4, y: y + height / 4, width: width / 2, height: height / 2 }));
	return boxes.map((box, index) => {
		const all = positions(box, sizes[index], area);
		const free = all.find((each) => !taken.some((other) => overlap(each, other)));
		if (free) taken.push(free);
		return { ...(free ?? all[0]), isFree: Boolean(free) };
	});
}

function positions({ x, y, width, height }, size, area) {
	const [above, below, end] = [y - size.height - GAP, y + height + GAP, x + width - size.width];
	const within = (value, most) => Math.max(0, Math.min(value, most));
	return [[x, above], [x, below], [end, above], [end, below], [x + width + GAP, y], [x - size.width - GAP, y]].map(([left, top]) => ({ ...size, x: within(left, area.width - size.width), y: within(top, area.height - size.height) }));
}

const overlap = (one, other) =>
	one.x < other.x + other.width && other.x < one.x + one.width && one.y < other.y + other.height && other.y < one.y + one.height;
