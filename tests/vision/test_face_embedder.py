"""Looks at a face: as many as there are views, in the order of colours that the network wants."""

import numpy as np
import pytest

from likeness.vision.alignment import Aligner, View
from likeness.vision.embedding import Embedder
from likeness.vision.face_embedder import FaceEmbedder

TEMPLATE = np.array([[8.0, 8.0], [24.0, 8.0], [16.0, 16.0], [10.0, 24.0], [22.0, 24.0]])
PHOTO = np.random.default_rng(3).integers(0, 256, (32, 32, 3), dtype=np.uint8)


class Colours:
    """A network that answers with the mean of each channel."""

    takes_bytes = True

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        return [inputs[0].mean(axis=(1, 2), dtype=np.float32)]


@pytest.mark.parametrize("reversed_colours", [False, True])
def test_views_are_cut_and_embedded(reversed_colours: bool) -> None:
    aligner = Aligner(32, TEMPLATE, None, (View(), View(mirror=True), View(zoom=0.8)))
    looker = FaceEmbedder(aligner, Embedder(Colours()), reversed_colours)
    assert looker.looks == 3
    chips = looker.chips(PHOTO, TEMPLATE.astype(np.float32), None)
    assert chips.shape == (3, 32, 32, 3)
    # The points lie where the template has them: the first view is the photo itself.
    assert np.array_equal(chips[0], PHOTO[..., ::-1] if reversed_colours else PHOTO)
    vectors = looker.views(chips)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert np.argmax(vectors[0]) == np.argmax(chips[0].mean(axis=(0, 1)))
