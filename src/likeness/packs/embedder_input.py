"""The input of an embedder as a pack's manifest describes it: chips, colours, alignment template, views."""

from typing import Annotated, Literal

import numpy as np
from msgspec import Meta, Struct, field

from likeness.vision.alignment import Aligner, PointSource, View
from likeness.vision.embedding import Lengths

Colour = Literal["rgb", "bgr"]
#: Numbers of 0 to 255, of which some networks expect other ranges; NaN and infinity are in none.
Level = Annotated[float, Meta(ge=-1000, le=1000)]
Scale = Annotated[float, Meta(ge=0.001, le=100_000)]
_Point = tuple[float, float]


class _ViewTable(Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of `views`."""

    points: PointSource = "detector"
    mirror: bool = False


class EmbedderInput(Struct, frozen=True, forbid_unknown_fields=True):
    """The embedder's input.

    `size_px` is the side of the square chip; `mean` is subtracted from R, G, B (in this order, 0 to 255) before the
    division by `scale`; `colour` is the network's order of the channels; `template` holds five points (left eye, right
    eye, nose, left and right mouth corner; left in the picture) in px on the chip; the vectors of `views` of a face are
    averaged, and `lengths` is the meaning of their mean's length. Without listed views they are the face and, unless
    `mirror` is false, its mirror image.
    """

    size_px: Annotated[int, Meta(ge=16, le=1024)]
    mean: tuple[Level, Level, Level]
    scale: Scale
    template: tuple[_Point, _Point, _Point, _Point, _Point]
    colour: Colour = "rgb"
    lengths: Lengths = "agreement"
    mirror: bool = True
    listed: Annotated[tuple[_ViewTable, ...], Meta(min_length=1, max_length=64)] | None = field(
        default=None, name="views"
    )

    def __post_init__(self) -> None:
        points = np.asarray(self.template)
        if not (np.abs(points - self.size_px / 2) <= 1.5 * self.size_px).all():  # nor for NaN
            raise ValueError("`template` has a point that is not on the chip, nor within one side of it")
        if np.linalg.norm(points[0] - points[1]) <= 1:
            raise ValueError("`template` has its eyes at one place; they must be more than 1 px apart")

    @property
    def views(self) -> tuple[View, ...]:
        """The views whose vectors are averaged."""
        if self.listed is None:
            return (View(), View(mirror=True)) if self.mirror else (View(),)
        return tuple(View(each.points, each.mirror) for each in self.listed)

    @property
    def aligner(self) -> Aligner:
        """Cuts the chips (R, G, B)."""
        return Aligner(self.size_px, np.asarray(self.template), self.views)
