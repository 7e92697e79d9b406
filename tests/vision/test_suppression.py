"""One box per face: the best one remains, corrected by overlapping ones only."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from likeness.vision.suppression import SAME_FACE_OVERLAP, overlaps, suppress


def boxes_of(*boxes: tuple[float, float, float, float]) -> NDArray[np.float32]:
    return np.array(boxes, np.float32).reshape(-1, 4)


def test_overlap_is_intersection_over_union() -> None:
    shared = overlaps(boxes_of((0, 0, 2, 2)), boxes_of((1, 0, 3, 2), (0, 0, 2, 2), (5, 5, 6, 6), (1, 1, 1, 1)))
    np.testing.assert_allclose(shared, [[1 / 3, 1, 0, 0]], atol=1e-6)


def test_nothing_in_nothing_out() -> None:
    kept, voted = suppress(boxes_of(), np.zeros(0, np.float32))
    assert len(kept) == len(voted) == 0


def test_neighbours_vote_by_the_square_of_their_score() -> None:
    boxes = boxes_of((0, 0, 10, 10), (1, 0, 11, 10), (50, 50, 60, 60))
    kept, voted = suppress(boxes, np.array([0.8, 0.4, 0.6], np.float32))
    assert kept.tolist() == [0, 2]
    weight = 0.4**2 / (0.8**2 + 0.4**2)
    np.testing.assert_allclose(voted, [[weight, 0, 10 + weight, 10], [50, 50, 60, 60]], rtol=1e-6)


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(4, 30), st.integers(4, 30), st.integers(1, 99)),
        min_size=1,
        max_size=40,
    )
)
def test_survivors_are_apart_and_every_candidate_has_one(candidates: list[tuple[int, int, int, int, int]]) -> None:
    array = np.array(candidates, np.float32)
    boxes = np.concatenate([array[:, :2], array[:, :2] + array[:, 2:4]], axis=1)
    scores = array[:, 4] / 100
    kept, _ = suppress(boxes, scores)
    assert (np.diff(scores[kept]) <= 0).all()
    among = overlaps(boxes[kept], boxes[kept])
    np.fill_diagonal(among, 0)
    assert (among <= SAME_FACE_OVERLAP + 1e-6).all()
    shared = overlaps(boxes, boxes[kept])
    better = scores[kept][None, :] >= scores[:, None]
    assert ((shared > SAME_FACE_OVERLAP - 1e-6) & better).any(axis=1).all()
