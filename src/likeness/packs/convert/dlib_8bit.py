"""dlib's ResNet in eight bits: two thirds of the time of single precision on a processor with AVX2; with VNNI it takes
half, as measured once on another machine.

Measured (`python benchmarks/quantisation.py embedder effect`): the cosine of a view's vector to that of single
precision is 0.9995 in the mean. docs/accuracy.md has the error rates, which are those of the network as it ships. The
bytes of the chips go into the first layer as they are; the mean over all places and the matrix at the end stay in
single precision.
"""

import numpy as np

from likeness.packs.convert.dlib import convert_dlib_resnet, read_network
from likeness.packs.convert.dlib_ranges import RANGES
from likeness.packs.convert.eight_bits import in_eight_bits


def convert_dlib_resnet_8bit(data: bytes) -> bytes:
    """What `convert_dlib_resnet` makes of `data`, its convolutions in eight bits. Raises PackDamaged as that does."""
    network = convert_dlib_resnet(data)
    with np.errstate(all="ignore"):
        mean, _ = read_network(data)
    return in_eight_bits(network, RANGES, "dlib face recognition network", {"chips_numbers": mean})
