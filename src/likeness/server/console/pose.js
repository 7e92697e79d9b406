// A head's pose as projections of its three axes, rotated by pitch, then yaw, then roll.

// Unit axes in the picture (x right, y down): right and up of the head as seen, and the nose towards the viewer.
export function axes({ Roll, Yaw, Pitch }) {
	const [roll, yaw, pitch] = [Roll, Yaw, Pitch].map((degrees) => (degrees * Math.PI) / 180);
	return [
		[Math.cos(yaw), 0],
		[-Math.sin(pitch) * Math.sin(yaw), -Math.cos(pitch)],
		[Math.cos(pitch) * Math.sin(yaw), -Math.sin(pitch)],
	].map(([x, y]) => [x * Math.cos(roll) - y * Math.sin(roll), x * Math.sin(roll) + y * Math.cos(roll)]);
}

// The pose in words; angles under 5 degrees are not noticeable.
export function poseInWords({ Roll, Yaw, Pitch }) {
	const turns = [
		[Yaw, "turned left", "turned right"],
		[Pitch, "looking down", "looking up"],
		[Roll, "tilted anticlockwise", "tilted clockwise"],
	];
	const words = turns
		.filter(([angle]) => Math.abs(angle) >= 5)
		.map(([angle, less, more]) => `${angle < 0 ? less : more} ${Math.abs(angle).toFixed(0)}°`);
	return words.join(", ") || "facing the camera";
}
