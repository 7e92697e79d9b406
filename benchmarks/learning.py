"""The regressions, cross-validation and measures of `attributes.py`."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

SEEDS, FOLDS = 3, 5
#: The names that expressions-dev gives to the expression network's labels, in the network's order.
NAMES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
HAPPY, NEUTRAL = NAMES.index("happiness"), NAMES.index("neutral")

Numbers = NDArray[np.float64]


def emotion_regression(inputs: Numbers, labels: NDArray[np.intp], ridge: float) -> tuple[Numbers, Numbers]:
    """Weights (7, 7) and bias (7,) of multinomial logistic regression on log probabilities, with balanced classes.

    The ridge shrinks the weights towards a multiple of the identity, that is, towards the network's own probabilities.
    """
    classes, rows = len(NAMES), np.arange(len(labels))
    weights = (len(labels) / classes / np.maximum(np.bincount(labels, minlength=classes), 1))[labels]

    def parts(flat: Numbers) -> tuple[float, Numbers, Numbers]:
        return float(flat[0]), flat[1 : 1 + classes**2].reshape(classes, classes), flat[1 + classes**2 :]

    def loss(flat: Numbers) -> tuple[float, Numbers]:
        slope, mixing, bias = parts(flat)
        logits = slope * inputs + inputs @ mixing + bias
        logs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        errors = np.exp(logs)
        errors[rows, labels] -= 1
        errors *= weights[:, np.newaxis]
        gradient = [[(errors * inputs).sum()], (inputs.T @ errors + ridge * mixing).ravel()]
        penalty = 0.5 * ridge * (mixing**2).sum() + 0.05 * (bias**2).sum()
        value = float(penalty - (weights * logs[rows, labels]).sum())
        return value, np.concatenate([*gradient, errors.sum(axis=0) + 0.1 * bias])

    fitted = minimize(loss, np.zeros(1 + classes**2 + classes), jac=True, method="L-BFGS-B").x
    slope, mixing, bias = parts(fitted)
    return slope * np.eye(classes) + mixing, bias


def smile_regression(inputs: Numbers, labels: NDArray[np.intp], ridge: float) -> tuple[Numbers, float]:
    """Weights (D,) and bias of logistic regression, happiness against the rest, with balanced classes; neutral counts
    twice.
    """
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0)
    standard, smiles = (inputs - mean) / spread, labels == HAPPY
    weights = np.where(smiles, 0.5 / smiles.mean(), 0.5 / (1 - smiles.mean())) * np.where(labels == NEUTRAL, 2.0, 1.0)

    def loss(flat: Numbers) -> tuple[float, Numbers]:
        logits = standard @ flat[:-1] + flat[-1]
        errors = weights * (1 / (1 + np.exp(-logits)) - smiles)
        value = (weights * (np.logaddexp(0, logits) - smiles * logits)).sum() + 0.5 * ridge * (flat[:-1] ** 2).sum()
        return float(value), np.append(standard.T @ errors + ridge * flat[:-1], errors.sum())

    fitted = minimize(loss, np.zeros(inputs.shape[1] + 1), jac=True, method="L-BFGS-B").x
    slopes = fitted[:-1] / spread
    return slopes, float(fitted[-1] - mean @ slopes)


def judged_by_folds(
    persons: Sequence[str], fit_and_score: Callable[[NDArray[np.bool_], NDArray[np.bool_]], Numbers]
) -> Iterator[Numbers]:
    """For each seed, the scores of all faces, each by a regression that was fitted to other people's faces."""
    names = sorted(set(persons))
    for seed in range(SEEDS):
        shuffled = np.random.default_rng(seed).permutation(len(names))
        fold_of = {names[place]: rank % FOLDS for rank, place in enumerate(shuffled)}
        folds = np.array([fold_of[name] for name in persons])
        parts = [(folds == fold, fit_and_score(folds != fold, folds == fold)) for fold in range(FOLDS)]
        scores = np.zeros((len(persons), *parts[0][1].shape[1:]))
        for judged, part in parts:
            scores[judged] = part
        yield scores


def area_under_curve(positive: Numbers, negative: Numbers) -> float:
    difference = positive[:, np.newaxis] - negative
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def macro_recall(scores: Numbers, labels: NDArray[np.intp]) -> float:
    return float(np.mean([(scores[labels == label].argmax(axis=1) == label).mean() for label in range(len(NAMES))]))
