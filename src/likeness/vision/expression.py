"""The emotions that a face appears to express, and whether it smiles.

The network (fer's, after Arriaga, Valdenegro-Toro and Plöger, "Real-time Convolutional Neural Networks for Emotion and
Gender Classification", 2017) was trained on FER2013, small grey pictures of faces, which has no CONFUSED.
"""

import math

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from likeness.faces import Emotion, EmotionType, Smile
from likeness.vision.alignment import similarity_transform, warp_chip
from likeness.vision.mesh import FaceMesh
from likeness.vision.mesh_model import MEAN_FIVE
from likeness.vision.network import Network
from likeness.vision.pose import derotated
from likeness.vision.pyramid import Pyramid

#: The network's outputs, in order.
LABELS: tuple[EmotionType, ...] = ("ANGRY", "DISGUSTED", "FEAR", "HAPPY", "SAD", "SURPRISED", "CALM")
_HAPPY = LABELS.index("HAPPY")

CROP_SIZE_PX = 64
#: The crop's side, and how far under the eyes' line its middle lies, in eye distances: the best of 28 by macro recall
#: over expressions-dev (`python -m benchmarks.attributes emotions` prints what this one reaches).
_CROP_PER_EYES, _MIDDLE_UNDER_EYES = 2.6, 0.45
_EPSILON = 1e-3  # added to probabilities before the logarithm

#: The network confuses some emotions (surprise with fear or anger). Multinomial logistic regression from its log
#: probabilities to the labels of expressions-dev, classes weighted alike, ridge 20 towards a multiple of the unit
#: matrix, raises macro recall from 0.41 to 0.50 and lowers the log loss from 2.1 to 1.3, by folds over persons.
#: `python -m benchmarks.attributes emotions` prints these figures, `fit` this table: one row an input, one column an
#: emotion.
# fmt: off
_RECALIBRATION: NDArray[np.float64] = np.array([
    [0.761, -0.194, -0.164, -0.107, -0.262, 0.284, 0.321],
    [0.208, 0.462, 0.161, -0.040, 0.210, -0.294, -0.067],
    [-0.265, 0.093, 0.540, -0.019, -0.122, 0.319, 0.092],
    [-0.015, 0.036, 0.068, 0.692, 0.020, -0.058, -0.104],
    [-0.110, 0.105, 0.171, -0.186, 0.822, -0.094, -0.069],
    [0.048, 0.173, 0.282, -0.046, -0.251, 0.586, -0.153],
    [-0.213, 0.516, -0.267, 0.029, 0.105, -0.138, 0.608],
], dtype=np.float64)
_BIAS: NDArray[np.float64] = np.array([-1.276, 3.579, 0.996, -0.898, -0.598, -1.158, -0.645], dtype=np.float64)
# fmt: on

#: The mesh's points at the left and right corner of the mouth, and under the upper and above the lower lip.
_MOUTH = (61, 291, 13, 14)

#: Logistic regression on expressions-dev, happiness against all else, neutral faces counted twice, both sides weighted
#: alike, ridge 10 on standardised inputs (`python -m benchmarks.attributes fit`). By folds over persons, the area under
#: the ROC curve of happiness against neutral is 0.97 with all three, 0.96 with happiness, 0.91 with the mouth alone.
_SMILE_WEIGHTS: NDArray[np.float64] = np.array([0.466, 11.358, 0.976])
_SMILE_BIAS = -0.389
_USUAL_MOUTH = (0.011, 0.823)  # the average mouth, for faces without a mesh: then happiness decides alone


def read_expression(network: Network, photo: Pyramid, points: ArrayLike) -> NDArray[np.float64]:
    """The network's log probabilities (7,) of `LABELS` for the face with these five `points` (5, 2), px of the photo.

    `network` takes (V, 1, 64, 64) float32 grey, -1 to 1, and answers the probabilities (V, 7). They are the mean over
    the face and its mirror image.
    """
    face = warp_chip(photo, _crop(points), CROP_SIZE_PX).astype(np.float32)
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) * np.float32(2 / 255) - np.float32(1)
    views = np.stack([grey, grey[:, ::-1]])[:, np.newaxis].astype(np.float32, copy=False)
    return np.asarray(np.log(network(views)[0].astype(np.float64) + _EPSILON).mean(axis=0))


def emotions(log_probabilities: NDArray[np.float64]) -> tuple[Emotion, ...]:
    """The emotions that the network's log probabilities (7,) mean, highest confidence first; they sum to 100."""
    scores = log_probabilities @ _RECALIBRATION + _BIAS
    shares = np.exp(scores - scores.max())
    confidences = (100.0 * shares / shares.sum()).tolist()
    order = np.argsort(-shares, kind="stable").tolist()
    return tuple(Emotion(type=LABELS[each], confidence=confidences[each]) for each in order)


def happiness(log_probabilities: NDArray[np.float64]) -> float:
    """The network's own log odds of happiness, from its log probabilities (7,)."""
    return float(log_probabilities[_HAPPY] - np.logaddexp.reduce(np.delete(log_probabilities, _HAPPY)))


def read_smile(mesh: FaceMesh | None, happy: float) -> Smile:
    """Whether a face smiles, with a confidence of 50 to 100; arguments as for `smile_features`."""
    logit = float(smile_features(mesh, happy) @ _SMILE_WEIGHTS) + _SMILE_BIAS
    chance = 1.0 / (1.0 + math.exp(-min(max(logit, -60.0), 60.0)))
    return Smile(value=chance >= 0.5, confidence=100.0 * max(chance, 1.0 - chance))


def smile_features(mesh: FaceMesh | None, happy: float) -> NDArray[np.float64]:
    """The features (3,): log odds of happiness, `happy`; how far the mouth's corners are above the gap between the
    lips, and the mouth's width, on the mesh turned frontal, in eye distances.
    """
    if mesh is None:
        return np.array([happy, *_USUAL_MOUTH])
    left, right, upper, lower = derotated(mesh.points, _MOUTH)
    above = (upper[1] + lower[1] - left[1] - right[1]) / 2
    return np.array([happy, above, float(np.linalg.norm(right - left))])


def _crop(points: ArrayLike) -> NDArray[np.float64]:
    """The crop (2, 3), photo to crop, of a face with these five points (5, 2) px."""
    upright = similarity_transform(points, MEAN_FIVE[:, :2]) * (CROP_SIZE_PX / _CROP_PER_EYES)
    upright[:, 2] += CROP_SIZE_PX / 2 - np.array([0.0, _MIDDLE_UNDER_EYES * CROP_SIZE_PX / _CROP_PER_EYES])
    return upright
