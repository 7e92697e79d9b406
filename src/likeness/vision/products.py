"""Products of small matrices, calculated in the calling thread; vectors of length one."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Float = TypeVar("Float", bound=np.floating)

#: Up to this many multiplications OpenBLAS uses one thread (SMP_THRESHOLD_MIN times GEMM_MULTITHREAD_THRESHOLD,
#: interface/gemm.c), beyond that one per processor, which spin.
_MOST_MULTIPLICATIONS = 2**18
_MANY_ROWS = 256


def product(a: NDArray[Float], b: NDArray[Float]) -> NDArray[Float]:
    """`a @ b` for `a` (M, K) and `b` (K, N); up to 256 rows, more than a photo has faces, in this thread only."""
    rows, inner = a.shape
    columns = b.shape[1]
    if rows > _MANY_ROWS or rows * inner * columns <= _MOST_MULTIPLICATIONS:
        return a @ b
    if columns >= rows:
        some = max(1, _MOST_MULTIPLICATIONS // (rows * inner))
        return np.concatenate([a @ b[:, start : start + some] for start in range(0, columns, some)], axis=1)
    some = max(1, _MOST_MULTIPLICATIONS // (inner * columns))
    return np.concatenate([a[start : start + some] @ b for start in range(0, rows, some)])


def unit(vectors: NDArray[Float]) -> NDArray[Float]:
    """`vectors` (..., D) scaled to length one, in their precision; a vector of length zero stays zero."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))
