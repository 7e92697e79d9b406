// The answer to threshold 0, which has every face with its similarity, read at any other threshold.

/** Every face of the target, the most similar first: {similarity, face, matched}. */
export const facesAt = (answer, threshold) =>
	answer.FaceMatches.map(({ Similarity: similarity, Face: face }) => ({ similarity, face, matched: similarity >= threshold }));

/** The answer that the server gives at `threshold`: what is not matched has no similarity and comes by size. */
export function answerAt(answer, threshold) {
	const size = ({ BoundingBox: box }) => box.Width * box.Height;
	const others = answer.FaceMatches.filter((each) => each.Similarity < threshold).map((each) => each.Face);
	return {
		...answer,
		FaceMatches: answer.FaceMatches.filter((each) => each.Similarity >= threshold),
		UnmatchedFaces: others.sort((one, other) => size(other) - size(one)),
	};
}

/** In the answer to a photo compared with itself, the face that was its source face. */
export function ownFace({ SourceImageFace: { BoundingBox: own }, FaceMatches: matches }) {
	const distance = ({ Face: { BoundingBox: box } }) => Math.hypot(box.Left - own.Left, box.Top - own.Top);
	return matches.toSorted((one, other) => distance(one) - distance(other))[0]?.Face;
}

/** The request; photos are in base64. */
export const requestBody = ({ source, target, threshold, filter }) => ({
	SourceImage: { Bytes: source },
	TargetImage: { Bytes: target },
	SimilarityThreshold: threshold,
	QualityFilter: filter,
});
