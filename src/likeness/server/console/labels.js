// Where the faces' labels go: beside a box, in the photo, on no other label and no face.

const GAP = 2;

/**
 * {x, y} for each label, or null where there is no room. All in px: `boxes` {x, y, width, height}, the most important
 * first, `sizes` and `area` {width, height}.
 */
export function placeLabels(boxes, sizes, area) {
	const taken = boxes.map(({ x, y, width, height }) => ({ x: x + width / 4, y: y + height / 4, width: width / 2, height: height / 2 }));
	return boxes.map((box, index) => {
		const spot = spots(box, sizes[index], area).find((each) => !taken.some((other) => overlap(each, other)));
		if (!spot) return null;
		taken.push(spot);
		return { x: spot.x, y: spot.y };
	});
}

function spots({ x, y, width, height }, size, area) {
	const [above, below, end] = [y - size.height - GAP, y + height + GAP, x + width - size.width];
	const corners = [[x, above], [x, below], [end, above], [end, below], [x + width + GAP, y], [x - size.width - GAP, y]];
	const within = (value, most) => Math.max(0, Math.min(value, most));
	return corners.map(([left, top]) => ({ ...size, x: within(left, area.width - size.width), y: within(top, area.height - size.height) }));
}

const overlap = (one, other) =>
	one.x < other.x + other.width && other.x < one.x + one.width && one.y < other.y + other.height && other.y < one.y + one.height;
