// The server's answer to threshold 0, which has every face with its similarity, read at any other threshold.

/** Every face of the target photo, the most similar first: {similarity, face, matched}. */
export function facesAt(answer, threshold) {
	return answer.FaceMatches.map(({ Similarity, Face }) => ({
		similarity: Similarity,
		face: Face,
		matched: Similarity >= threshold,
	}));
}

/** The answer that the server gives at `threshold`: what is not matched has no similarity and comes by size. */
export function answerAt(answer, threshold) {
	const matched = answer.FaceMatches.filter((each) => each.Similarity >= threshold);
	const others = answer.FaceMatches.filter((each) => each.Similarity < threshold).map((each) => each.Face);
	const size = ({ BoundingBox: box }) => box.Width * box.Height;
	return { ...answer, FaceMatches: matched, UnmatchedFaces: others.sort((one, other) => size(other) - size(one)) };
}

/** Of the faces in the answer to a photo compared with itself, the one that was its source face. */
export function ownFace(answer) {
	const { Left, Top } = answer.SourceImageFace.BoundingBox;
	const distance = ({ Face: { BoundingBox: box } }) => Math.hypot(box.Left - Left, box.Top - Top);
	const nearest = [...answer.FaceMatches].sort((one, other) => distance(one) - distance(other))[0];
	return nearest?.Face ?? null;
}

/** The request as JSON: `source` and `target` are base64, or what stands for it. */
export function requestBody({ source, target, threshold, filter }) {
	return {
		SourceImage: { Bytes: source },
		TargetImage: { Bytes: target },
		SimilarityThreshold: threshold,
		QualityFilter: filter,
	};
}
