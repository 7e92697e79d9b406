"""HSE's face network in eight bits: less than two thirds of the time of single precision on a processor with AVX2.

Measured (`python benchmarks/quantisation.py second_embedder effect`): the cosine of a view's vector to that of single
precision is XXX in the mean. docs/accuracy.md has the error rates, which are those of the network as it ships. The
bytes of the chips go into the first layer as they are; the mean over all places stays in single precision.
"""

from likeness.packs.convert.eight_bits import in_eight_bits
from likeness.packs.convert.faceres import MEAN_RGB, convert_faceres
from likeness.packs.convert.faceres_ranges import RANGES


def convert_faceres_8bit(data: bytes) -> bytes:
    """What `convert_faceres` makes of `data`, its convolutions in eight bits. Raises PackDamaged as that does."""
    return in_eight_bits(convert_faceres(data), RANGES, "HSE face network", {"chips_numbers": MEAN_RGB})
