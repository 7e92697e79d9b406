"""Families of networks beyond the standard pack: detectors of several families, and how networks are fed."""

from likeness.families.detectors import make_detector
from likeness.families.embedders import make_embedder
from likeness.families.preprocessed import for_any_number

__all__ = ["for_any_number", "make_detector", "make_embedder"]
