"""In which decoding a face is looked at."""

import math

import pytest

from likeness.image import Reduction
from likeness.measuring import finer_reduction


@pytest.mark.parametrize(
    ("working", "smallest_px", "expected"),
    [
        (2, 200.0, 2),
        (2, 140.0, 2),
        (2, 139.0, 1),
        (8, 70.0, 4),
        (8, 69.0, 2),
        (8, 5.0, 1),
        (1, 20.0, 1),
        (4, math.inf, 4),
    ],
)
def test_a_small_face_is_looked_at_in_a_finer_decoding(
    working: Reduction, smallest_px: float, expected: Reduction
) -> None:
    assert finer_reduction(working, smallest_px) == expected
