// Requests (photos in base64), and answers at threshold 0, read at any other.

export const requestBody = (source, target, threshold, filter) => ({
	SourceImage: { Bytes: source },
	TargetImage: { Bytes: target },
	SimilarityThreshold: threshold,
	QualityFilter: filter,
});

// Every face of the target, the most similar first: {similarity, face, matched}.
export const facesAt = (answer, threshold) =>
	answer.FaceMatches.map(({ Similarity: similarity, Face: face }) => ({ similarity, face, matched: similarity >= threshold }));

// What the server answers at `threshold`: what is not matched has no similarity and comes by size.
export function answerAt(answer, threshold) {
	const size = ({ BoundingBox: box }) => box.Width * box.Height;
	const others = answer.FaceMatches.filter((each) => each.Similarity < threshold).map((each) => each.Face);
	return {
		...answer,
		FaceMatches: answer.FaceMatches.filter((each) => each.Similarity >= threshold),
		UnmatchedFaces: others.sort((one, other) => size(other) - size(one)),
	};
}

// In the answer to a photo compared with itself, the face that was its source face.
export const ownFace = ({ SourceImageFace: { BoundingBox: own }, FaceMatches: matches }) =>
	matches.find(({ Face: { BoundingBox: box } }) => box.Left === own.Left && box.Top === own.Top)?.Face;
