"""HSE's face network in eight bits: less than two thirds of the time of single precision on a processor with AVX2.

Its ReLUs end at 6, and so do the ranges. In a MobileNet rounded filters shift the means of many channels, so every
layer's biases make up for it: `faceres_means.npy` holds the usual values of all channels that a layer looks at, in the
layers' order (`python benchmarks/quantisation.py second_embedder means` writes it: averages over 120 photos). Measured
(`... second_embedder effect`): the cosine of a view's vector to that of single precision is 0.9985 in the mean, without
the means 0.9917. docs/accuracy.md has the error rates, which are those of the network as it ships.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from likeness.packs.convert.eight_bits import in_eight_bits
from likeness.packs.convert.faceres import MEAN_RGB, RELUS, WIDTHS, convert_faceres

MEANS_FILE = Path(__file__).with_name("faceres_means.npy")
_RANGES = {"chips_numbers": (0.0, 255.0)} | dict.fromkeys(RELUS, (0.0, 6.0))


def convert_faceres_8bit(data: bytes) -> bytes:
    """What `convert_faceres` makes of `data`, its convolutions in eight bits. Raises PackDamaged as that does."""
    means: dict[str, Sequence[float]] = {"chips_numbers": MEAN_RGB}
    # Nothing looks at what comes out of the last layer.
    usual = np.split(np.load(MEANS_FILE, allow_pickle=False), np.cumsum(WIDTHS[:-2]))
    means |= {name: values.tolist() for name, values in zip(RELUS[:-1], usual, strict=True)}
    return in_eight_bits(convert_faceres(data), _RANGES, "HSE face network", means)
