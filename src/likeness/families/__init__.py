"""Families of networks beyond the standard pack: detectors of several families, and how networks are fed."""

from likeness.families.detectors import make_detector
from likeness.families.preprocessed import check_side, for_any_number

__all__ = ["check_side", "for_any_number", "make_detector"]
