"""CenterFace in eight bits: three quarters of the time (AVX2 without VNNI), the faces it finds as good as before.

Measured (`python benchmarks/quantisation.py detector effect`, `python benchmarks/detection.py`): points move by 0.012
distances between the eyes, average precision on wider-dev stays within its noise. The first two layers, the feature
pyramid and the heads stay in single precision: with the first two in eight bits average precision falls by 0.02, and
they are hardly faster.
"""

from likeness.packs.convert.centerface import convert_centerface
from likeness.packs.convert.centerface_ranges import RANGES
from likeness.packs.convert.eight_bits import in_eight_bits


def convert_centerface_8bit(data: bytes) -> bytes:
    """What `convert_centerface` makes of `data`, mostly in eight bits. Raises PackDamaged as that does."""
    return in_eight_bits(convert_centerface(data), RANGES, "CenterFace network (centerface.onnx)")
