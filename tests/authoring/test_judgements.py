"""What `packs new` and `packs check` say of points in another order."""

import numpy as np
import pytest

from likeness.authoring.judgements import order_fault, points_fault
from likeness.authoring.trials import TEMPLATES

UPRIGHT = TEMPLATES["arcface"] * 112
PROFILE = UPRIGHT[[1, 0, 2, 4, 3]]


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ([1, 0, 2, 4, 3], "gives mirrored points: the order is left eye, right eye, nose, left corner"),
        ([1, 0, 2, 3, 4], "the first, the left eye, is right of the second"),
        ([0, 1, 2, 4, 3], "the fourth, the left corner of the mouth, is right of the fifth"),
        ([2, 0, 1, 3, 4], "the first, the left eye, is right of the second"),
        ([2, 1, 0, 3, 4], "the first two, the eyes, are below the nose"),
        ([3, 4, 2, 0, 1], "the first two, the eyes, are below the nose"),
        ([0, 1, 3, 2, 4], "the third, the nose, is below the mouth"),
    ],
)
def test_points_in_another_order_are_named(order: list[int], said: str) -> None:
    points = [UPRIGHT[order], UPRIGHT[order], UPRIGHT]
    assert said in points_fault(points)


def test_exchanged_coordinates_are_named() -> None:
    assert "x and y exchanged" in points_fault([UPRIGHT[:, ::-1]] * 3)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_templates_and_most_portraits_are_in_order(template: np.ndarray) -> None:
    assert order_fault([template]) == ""
    assert points_fault([template, template, PROFILE, PROFILE]) == ""
    assert points_fault([]) == ""
