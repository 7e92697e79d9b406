// Where the faces' labels go: beside their box, in the photo, on no other label; what finds no room is left out.

const GAP = 2;

/**
 * The label's corner {x, y} for each box, or null where there is no room. All in px; `boxes` are {x, y, width, height}
 * in the order of importance, `sizes` {width, height}, `area` the photo's {width, height}.
 */
export function placeLabels(boxes, sizes, area) {
	const taken = [];
	return boxes.map((box, index) => {
		const size = sizes[index];
		const spot = candidates(box, size)
			.map((corner) => ({ ...inside(corner, size, area), ...size }))
			.find((each) => !taken.some((other) => overlap(each, other)) && !hides(each, boxes));
		if (!spot) return null;
		taken.push(spot);
		return { x: spot.x, y: spot.y };
	});
}

function candidates({ x, y, width, height }, size) {
	const above = y - size.height - GAP;
	const below = y + height + GAP;
	return [
		{ x, y: above },
		{ x, y: below },
		{ x: x + width - size.width, y: above },
		{ x: x + width - size.width, y: below },
		{ x: x + width + GAP, y },
		{ x: x - size.width - GAP, y },
	];
}

/** As near as the photo allows. */
function inside(corner, size, area) {
	return {
		x: Math.max(0, Math.min(corner.x, area.width - size.width)),
		y: Math.max(0, Math.min(corner.y, area.height - size.height)),
	};
}

function overlap(one, other) {
	return (
		one.x < other.x + other.width &&
		other.x < one.x + one.width &&
		one.y < other.y + other.height &&
		other.y < one.y + one.height
	);
}

/** Whether a label would stand in the middle of a face: its own too. */
function hides(label, boxes) {
	return boxes.some(({ x, y, width, height }) =>
		overlap(label, { x: x + width / 4, y: y + height / 4, width: width / 2, height: height / 2 }),
	);
}
