// Requests (photos in base64), and responses at threshold 0 as they are at any other.

export const requestBody = (source, target, threshold, filter) => ({
	SourceImage: { Bytes: source },
	TargetImage: { Bytes: target },
	SimilarityThreshold: threshold,
	QualityFilter: filter,
});

// Every face of the target, the most similar first: {similarity, face, matched}.
export const facesAt = (answer, threshold) =>
	answer.FaceMatches.map(({ Similarity: similarity, Face: face }) => ({ similarity, face, matched: similarity >= threshold }));

// The response at `threshold`: faces that do not match have no similarity and are sorted by size.
export function answerAt(answer, threshold) {
	const size = ({ BoundingBox: box }) => box.Width * box.Height;
	const others = answer.FaceMatches.filter((each) => each.Similarity < threshold).map((each) => each.Face);
	return {
		...answer,
		FaceMatches: answer.FaceMatches.filter((each) => each.Similarity >= threshold),
		UnmatchedFaces: others.sort((one, other) => size(other) - size(one)),
	};
}

// The source face in the response to a photo compared with itself.
export const ownFace = ({ SourceImageFace: { BoundingBox: own }, FaceMatches: matches }) =>
	matches.find(({ Face: { BoundingBox: box } }) => box.Left === own.Left && box.Top === own.Top)?.Face;
