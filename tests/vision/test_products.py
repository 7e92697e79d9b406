"""Products of small matrices: correct, and never so large that BLAS uses its threads."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.vision.products import product, unit

SIZES: list[int] = []


class Watched(np.ndarray[Any, Any]):
    """An array that records the number of multiplications of each of its products."""

    def __matmul__(self, other: Any) -> Any:
        SIZES.append(self.shape[0] * self.shape[1] * other.shape[1])
        return np.asarray(self) @ np.asarray(other)


@given(st.integers(0, 120), st.integers(1, 150), st.integers(1, 150), st.integers(0, 2**32 - 1))
def test_a_product_is_the_product(rows: int, inner: int, columns: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    a, b = chance.normal(size=(rows, inner)), chance.normal(size=(inner, columns))
    assert np.allclose(product(a, b), a @ b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("rows", "inner", "columns"),
    [
        pytest.param(1, 192, 1600, id="a face and the cohort"),
        pytest.param(100, 192, 1600, id="a hundred faces and the cohort"),
        pytest.param(100, 5000, 4, id="the votes of all candidates of a crowd"),
    ],
)
def test_products_for_the_faces_of_a_photo_stay_in_one_thread(rows: int, inner: int, columns: int) -> None:
    SIZES.clear()
    product(np.ones((rows, inner)).view(Watched), np.ones((inner, columns)))
    assert sum(SIZES) == rows * inner * columns
    assert max(SIZES) <= 2**18


def test_many_rows_are_left_to_all_processors() -> None:
    SIZES.clear()
    product(np.ones((3000, 128)).view(Watched), np.ones((128, 160)))
    assert len(SIZES) == 1


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_vectors_of_length_one_keep_their_precision(precision: Any) -> None:
    vectors = np.array([[3, 4], [0, 0]], precision)
    assert unit(vectors).dtype == precision
    assert np.array_equal(unit(vectors), np.array([[0.6, 0.8], [0, 0]], precision))
    assert np.array_equal(unit(vectors[0]), unit(vectors)[0])
