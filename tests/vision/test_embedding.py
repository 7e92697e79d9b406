"""Vectors: the network's input, the average over views, and independence from the batch."""

import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.errors import PackInvalid
from likeness.vision.alignment import Aligner, View
from likeness.vision.embedding import Embedder, unit
from likeness.vision.network import Pictures
from likeness.vision.pyramid import Pyramid

GENERATOR = np.random.default_rng(3)
FACES = [GENERATOR.integers(0, 255, (4, 8, 8, 3), np.uint8) for _ in range(5)]
TEMPLATE = np.array([[2.0, 2.0], [6.0, 2.0], [4.0, 4.0], [2.5, 6.0], [5.5, 6.0]])
ALIGNER = Aligner(8, TEMPLATE, (View(), View(mirror=True), View("mesh")))
WEIGHTS = GENERATOR.standard_normal((3 * 8 * 8, 16)).astype(np.float32)


class LinearNetwork:
    """A network of one layer that records the numbers of views per call."""

    takes_bytes = False

    def __init__(self) -> None:
        self.runs: list[int] = []

    def __call__(self, *inputs: Pictures) -> list[NDArray[np.float32]]:
        (chips,) = inputs
        assert chips.dtype == np.float32
        assert chips.flags.c_contiguous
        self.runs.append(len(chips))
        # Row by row, so that rounding does not depend on the number of rows.
        return [np.stack([row.reshape(-1) @ WEIGHTS for row in chips])]


def embed(embedder: Embedder, faces: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    return embedder.vectors(faces)


def test_a_vector_is_the_mean_of_its_views_at_length_one() -> None:
    vectors = embed(Embedder(LinearNetwork(), ALIGNER, normalised=((10, 20, 30), 2.0)), FACES)
    views = (FACES[2].astype(np.float32) - (10, 20, 30)).transpose(0, 3, 1, 2) / 2
    expected = unit(views.reshape(4, -1).astype(np.float32) @ WEIGHTS).mean(axis=0)
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 16)
    assert np.allclose(vectors[2], expected, atol=1e-5)


def test_vectors_whose_lengths_say_something_are_averaged_as_they_are() -> None:
    vectors = embed(Embedder(LinearNetwork(), ALIGNER, lengths="certainty"), FACES)
    views = FACES[2].astype(np.float32).transpose(0, 3, 1, 2).reshape(4, -1)
    assert np.allclose(vectors[2], (views @ WEIGHTS).mean(axis=0), rtol=1e-4, atol=1e-2)
    assert np.linalg.norm(vectors[2]) > 10


class OfBytes(LinearNetwork):
    """The same with bytes as input."""

    takes_bytes = True

    def __call__(self, *inputs: Pictures) -> list[NDArray[np.float32]]:
        (chips,) = inputs
        assert chips.dtype == np.uint8
        return super().__call__(np.ascontiguousarray(chips.transpose(0, 3, 1, 2), np.float32))


def test_a_network_that_takes_bytes_gets_the_chips_as_they_are() -> None:
    assert np.array_equal(embed(Embedder(OfBytes(), ALIGNER), FACES), embed(Embedder(LinearNetwork(), ALIGNER), FACES))


def test_a_network_that_takes_bytes_cannot_be_asked_to_shift_them() -> None:
    with pytest.raises(ValueError, match="takes bytes as they are"):
        Embedder(OfBytes(), ALIGNER, normalised=((10, 20, 30), 1.0))


def test_a_vector_is_the_shorter_the_less_its_views_agree() -> None:
    embedder = Embedder(LinearNetwork(), ALIGNER)
    same, alike, unlike = embed(
        embedder,
        [
            np.repeat(FACES[0][:1], 4, axis=0),
            np.stack([FACES[0][0], *(np.roll(FACES[0][0], 1, axis=2) // 2 + FACES[0][0] // 2 for _ in range(3))]),
            FACES[0],
        ],
    )
    assert np.linalg.norm(same) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(same) > np.linalg.norm(alike) > np.linalg.norm(unlike)


def test_a_vector_is_the_same_in_any_company() -> None:
    embedder = Embedder(LinearNetwork(), ALIGNER)
    together = embed(embedder, FACES)
    for place, face in enumerate(FACES):
        assert np.array_equal(embed(embedder, [face])[0], together[place])
    assert np.array_equal(embed(embedder, FACES[::-1])[::-1], together)


def test_a_vector_of_length_zero_stays_zero() -> None:
    assert np.array_equal(unit(np.zeros((2, 4))), np.zeros((2, 4)))


@pytest.mark.parametrize("reversed_colours", [False, True])
def test_chips_are_cut_for_each_view_in_the_networks_colours(reversed_colours: bool) -> None:
    photo = GENERATOR.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    embedder = Embedder(OfBytes(), ALIGNER, reversed_colours=reversed_colours)
    chips = embedder.chips(Pyramid.of(photo), TEMPLATE, None)
    assert chips.shape == (3, 8, 8, 3)
    # The points are those of the template, so that the first view is the photo itself.
    assert np.array_equal(chips[0], photo[..., ::-1] if reversed_colours else photo)


def test_vectors_with_trailing_sides_are_vectors() -> None:
    """Some networks, such as Intel's, give (B, D, 1, 1): each of D numbers would count as a vector of its own."""

    class Deep:
        takes_bytes = False

        def __call__(self, *inputs: Pictures) -> list[NDArray[np.float32]]:
            return [inputs[0][:, :, :1, :1].astype(np.float32)]

    aligner = Aligner(8, np.array([[2, 2], [6, 2], [4, 4], [2, 6], [6, 6]], float), (View(),))
    chips = np.full((1, 8, 8, 3), (3, 4, 0), np.uint8)
    np.testing.assert_allclose(Embedder(Deep(), aligner).vectors([chips]), [[0.6, 0.8, 0.0]], rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_vector_that_is_not_finite_is_an_error_and_not_a_photo_without_the_face(value: float) -> None:
    class Spoilt(LinearNetwork):
        def __call__(self, *inputs: Pictures) -> list[NDArray[np.float32]]:
            (vectors,) = super().__call__(*inputs)
            vectors[-1, 3] = value
            return [vectors]

    with pytest.raises(PackInvalid, match="gives NaN or infinity for a face: its weights"):
        embed(Embedder(Spoilt(), ALIGNER), FACES)
