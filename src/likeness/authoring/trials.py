"""What a graph does not say, found by trial: the choice with which a detector is most certain of the faces of
portraits, and the one with which an embedder distinguishes people best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likeness.authoring.judgements import LEAST_DECIDABILITY, vectors_fault
from likeness.authoring.networks import Graph
from likeness.authoring.portraits import Chips, LocatedFace, Portrait, chips_of, main_face
from likeness.authoring.separation import Separation, separation
from likeness.families.detectors import FAMILIES, make_detector
from likeness.families.preprocessed import Preprocessed, Preprocessing
from likeness.packs.embedder_input import Colour, EmbedderInput
from likeness.packs.manifest import Role
from likeness.vision.detection import Detector
from likeness.vision.network import fed
from likeness.vision.turned import find

_HALF, _IMAGENET = (127.5, 127.5, 127.5), (123.675, 116.28, 103.53)
#: Mean and scale of 0 to 255, the customary first: of choices as good as each other the first is taken.
NORMALISATIONS: tuple[tuple[str, tuple[float, float, float], float], ...] = (
    ("0 to 255", (0.0, 0.0, 0.0), 1.0),
    ("-1 to 1", _HALF, 127.5),
    ("(x - 127.5) / 128", _HALF, 128.0),
    ("0 to 1", (0.0, 0.0, 0.0), 255.0),
    ("ImageNet's mean and spread", _IMAGENET, 57.4),
)
#: Of embedders only: a mean without a division, as networks trained with Caffe or on VGGFace2 expect (R, G, B).
MEANS_ALONE: tuple[tuple[str, tuple[float, float, float], float], ...] = (
    ("less 127.5", _HALF, 1.0),
    ("less Caffe's mean", (123.0, 117.0, 104.0), 1.0),
    ("less VGGFace2's mean", (131.0912, 103.8827, 91.4953), 1.0),
)
COLOURS: tuple[Colour, ...] = ("rgb", "bgr")

#: Five points over the chip's side: ArcFace's at 112 px (as InsightFace has it), the same in the middle of 128 px (as
#: InsightFace takes them for sizes that are no multiple of 112), and the crop of Intel's face-reidentification-retail.
_ARCFACE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
TEMPLATES: Mapping[str, NDArray[np.float64]] = MappingProxyType(
    {
        "arcface": _ARCFACE / 112,
        "arcface-in-128": (_ARCFACE + np.array([8.0, 0.0])) / 128,
        "retail": np.array([[0.3156, 0.4616], [0.6826, 0.4616], [0.5003, 0.6405], [0.3495, 0.8247], [0.6534, 0.8247]]),
    }
)
#: Two templates are usual for chips of 128 px; the first is the customary one.
_USUAL_AT_128 = ("retail", "arcface-in-128")
#: A template other than the customary one must distinguish people better by this factor: a tighter crop helps a little
#: on good portraits (MobileFaceNet's decidability is 1.11 times as large with another template); of few people by more.
_CLEARLY, _CLEARLY_OF_FEW = 1.15, 1.4
#: Fewer people than these do not tell templates apart.
_FEW_PEOPLE = 5
#: On the sample portraits MobileFaceNet has a decidability of 8.1, retail-0095 10.2; on many people it is less.
_LOW_DECIDABILITY = 6.0
#: Choices within this share of the best are as good; a detector's other than the published one must be surer by this.
_AS_GOOD, _SURER = 0.005, 0.02
#: Lengths of vectors tell certainty if the degraded chips' are shorter by more than this share in the mean.
_SHORTER = 0.05


@dataclass(frozen=True, slots=True)
class Tried:
    """One choice, as a text, with its figure: higher is better."""

    choice: str
    figure: float


@dataclass(frozen=True, slots=True)
class FoundDetector:
    """The role of a detector as found, and the choices tried, the chosen one first; their figure is the mean score."""

    role: Role
    detector: Detector
    tried: tuple[Tried, ...]


@dataclass(frozen=True, slots=True)
class FoundEmbedder:
    """The parameters of an embedder as found, the choices tried (the chosen one first, then the best; their figure is
    the decidability), how well the vectors distinguish people, what is wrong with them whoever they are of ("" for
    nothing), by which share those of degraded faces are shorter, and sentences about what the portraits leave open.
    """

    parameters: Mapping[str, Any]
    tried: tuple[Tried, ...]
    best: Separation
    fault: str
    shorter: float
    doubts: tuple[str, ...]


def try_detector(graph: Graph, family: str, file: str, portraits: Sequence[Portrait]) -> FoundDetector:
    """How a detector of `family` is fed, found on `portraits`."""
    published = FAMILIES[family].published
    choices = [published]
    if not graph.network.takes_bytes:
        others = [Preprocessing(colour, mean, scale) for _, mean, scale in NORMALISATIONS for colour in COLOURS]
        choices += [each for each in others if each != published]
    tried = []
    for choice in choices:
        role = Role("detector", file, family, MappingProxyType(_detector_table(graph, family, choice)))
        detector = make_detector(role, graph.network)
        tried.append((_mean_score(detector, portraits), role, detector, choice))
    best = max(tried, key=lambda each: each[0])
    if tried[0][0] >= best[0] * (1 - _SURER):
        best = tried[0]
    figures = [Tried(_in_words(choice), figure) for figure, _, _, choice in tried]
    return FoundDetector(best[1], best[2], _chosen_first(figures, _in_words(best[3])))


def _detector_table(graph: Graph, family: str, choice: Preprocessing) -> dict[str, Any]:
    table: dict[str, Any] = {"side_px": graph.side_px}
    if choice != FAMILIES[family].published:
        table |= {"colour": choice.colour, "mean": list(choice.mean), "scale": choice.scale}
    return table


def _mean_score(detector: Detector, portraits: Sequence[Portrait]) -> float:
    total = 0.0
    for portrait in portraits:
        faces, _ = find(detector, portrait.photo)
        if len(faces) and np.isfinite(faces.boxes).all():
            total += float(faces.scores[main_face(faces)])
    return total / len(portraits)


def try_embedder(graph: Graph, faces: Sequence[LocatedFace], template: str = "") -> FoundEmbedder:
    """How an embedder is fed, found on the located `faces`: channels and numbers first, then the template, unless that
    is known, one of TEMPLATES.
    """
    size = graph.size[0]
    customary = template or _customary(size)
    fed_with = _fed_with(graph, chips_of(faces, TEMPLATES[customary] * size, size), _choices(graph))
    best, choice = first_of_the_best(fed_with)
    tried = [Tried(f"{_in_words(each)}, template {customary}", result.decidability) for result, each in fed_with]
    aligned = {customary: best}
    for name in [each for each in TEMPLATES if each != customary and not template]:
        ((aligned[name], _),) = _fed_with(graph, chips_of(faces, TEMPLATES[name] * size, size), [choice])
        tried.append(Tried(f"{_in_words(choice)}, template {name}", aligned[name].decidability))
    figures = {name: result.decidability for name, result in aligned.items()}
    people = len({face.portrait.person for face in faces})
    name = template or template_of(figures, size, people)
    chosen = chips_of(faces, TEMPLATES[name] * size, size)
    vectors = _vectors(graph, chosen, choice)
    shorter = _shorter(vectors, chosen.degraded)
    parameters = {
        "size_px": size,
        "colour": choice.colour,
        "mean": list(choice.mean),
        "scale": choice.scale,
        "lengths": "certainty" if shorter > _SHORTER else "agreement",
        "template": [[round(float(at), 3) for at in point] for point in TEMPLATES[name] * size],
    }
    tried_in_order = _chosen_first(tried, f"{_in_words(choice)}, template {name}")
    return FoundEmbedder(
        parameters, tried_in_order, aligned[name], vectors_fault(vectors), shorter, doubts(figures, size, people)
    )


def first_of_the_best(results: Sequence[tuple[Separation, Preprocessing]]) -> tuple[Separation, Preprocessing]:
    """The first result whose decidability, which may be negative, is about the highest."""
    most = max(each.decidability for each, _ in results)
    return next(each for each in results if each[0].decidability >= most - abs(most) * _AS_GOOD)


def template_of(figures: Mapping[str, float], size_px: int, people: int) -> str:
    """The template for chips of this size: the customary one, unless by the `figures` (decidabilities) of so many
    people another is clearly better.
    """
    best, customary = max(figures, key=lambda name: figures[name]), _customary(size_px)
    clearly = _CLEARLY if people >= _FEW_PEOPLE else _CLEARLY_OF_FEW
    return best if figures[best] >= max(clearly * figures[customary], LEAST_DECIDABILITY) else customary


def doubts(figures: Mapping[str, float], size_px: int, people: int) -> tuple[str, ...]:
    """What the `figures` of templates (decidabilities) leave open, if they are of few people."""
    if people >= _FEW_PEOPLE:
        return ()
    said: list[str] = []
    best = max(figures, key=lambda name: figures[name])
    if figures[best] < _LOW_DECIDABILITY:
        said.append(
            f"the best decidability is {figures[best]:.1f}, and 8 and more are usual: the input that the network "
            "expects may be one that is not tried; see how it was trained"
        )
    if len(figures) == 1:  # the template was known
        return tuple(said)
    remedy = f"{people} people do not decide that: give --template, or photos of more with --people"
    if size_px == 128:
        said.append(f"the template is not certain: at 128 px {' and '.join(_USUAL_AT_128)} are usual, and {remedy}")
    elif best != _customary(size_px):
        said.append(f"the template is not certain: {best} distinguishes people best, but {remedy}")
    return tuple(said)


def _customary(size_px: int) -> str:
    return _USUAL_AT_128[0] if size_px == 128 else "arcface"


def better_choice(
    graph: Graph, faces: Sequence[LocatedFace], given: EmbedderInput
) -> tuple[Preprocessing, tuple[float, float]] | None:
    """Of channels and numbers, the choice with which the embedder distinguishes the people of `faces` clearly better
    than as `given`, and the decidabilities, the given one's first; None if there is none.
    """
    said = Preprocessing(given.colour, given.mean, given.scale)
    chips = chips_of(faces, np.asarray(given.template), given.size_px)
    (own, _), *others = _fed_with(graph, chips, [said, *_choices(graph)])
    best, choice = max(others, key=lambda each: each[0].decidability)
    if best.decidability < max(LEAST_DECIDABILITY, _CLEARLY * own.decidability):
        return None
    return choice, (own.decidability, best.decidability)


def _choices(graph: Graph) -> list[Preprocessing]:
    """The channels and numbers that are tried; a network of bytes takes these as they are."""
    normalisations = NORMALISATIONS[:1] if graph.network.takes_bytes else NORMALISATIONS + MEANS_ALONE
    return [Preprocessing(colour, mean, scale) for _, mean, scale in normalisations for colour in COLOURS]


def _fed_with(graph: Graph, chips: Chips, choices: Sequence[Preprocessing]) -> list[tuple[Separation, Preprocessing]]:
    return [(separation(_vectors(graph, chips, each), chips.people, chips.photos), each) for each in choices]


def _vectors(graph: Graph, chips: Chips, choice: Preprocessing) -> NDArray[np.float32]:
    network = Preprocessed(graph.pictures, choice, fed="rgb")
    outputs = [network(fed(network, chips.pixels[at : at + 1]))[0] for at in range(len(chips.pixels))]
    return np.concatenate(outputs).reshape(len(chips.pixels), -1).astype(np.float32)


def _shorter(vectors: NDArray[np.float32], degraded: NDArray[np.bool_]) -> float:
    """By which share the vectors of degraded chips are shorter in the mean; 0 for vectors that are normalised."""
    norms = np.linalg.norm(vectors, axis=1)
    return float(1 - norms[degraded].mean() / max(float(norms[~degraded].mean()), 1e-9))


def _in_words(choice: Preprocessing) -> str:
    named = [name for name, mean, scale in NORMALISATIONS + MEANS_ALONE if (mean, scale) == (choice.mean, choice.scale)]
    return f"{choice.colour}, {named[0]}"


def _chosen_first(tried: Sequence[Tried], chosen: str) -> tuple[Tried, ...]:
    return tuple(sorted(tried, key=lambda each: (each.choice != chosen, -each.figure)))
