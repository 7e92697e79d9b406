"""The input of an embedder as a pack's manifest describes it: chips, colours, alignment template, views."""

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np

from likeness.packs.tables import Table, is_number
from likeness.vision.alignment import Aligner, PointSource, View
from likeness.vision.embedding import Lengths

Colour = Literal["rgb", "bgr"]


@dataclass(frozen=True, slots=True)
class EmbedderInput:
    """The embedder's input.

    `size_px` is the side of the square chip; `mean` is subtracted from R, G, B (in this order, 0 to 255) before the
    division by `scale`; `colour` is the network's order of the channels; `template` holds five points (left eye, right
    eye, nose, left and right mouth corner; left in the picture) in px on the chip; the vectors of `views` of a face are
    averaged, and `lengths` is the meaning of their mean's length.
    """

    size_px: int
    mean: tuple[float, float, float]
    scale: float
    colour: Colour
    template: tuple[tuple[float, float], ...]
    views: tuple[View, ...]
    lengths: Lengths

    @property
    def aligner(self) -> Aligner:
        """Cuts the chips (R, G, B)."""
        return Aligner(self.size_px, np.asarray(self.template), self.views)


def read_embedder_input(t: Table) -> EmbedderInput:
    """Reads the table of the role; PackInvalid if it is inconsistent."""
    colour = t.text("colour", "rgb")
    if colour not in get_args(Colour):
        raise t.wrong(f"colour is {colour!r}, not rgb or bgr")
    lengths = t.text("lengths", "agreement")
    if lengths not in get_args(Lengths):
        raise t.wrong(f"lengths is {lengths!r}, not agreement or certainty")
    mean = t.numbers("mean", 3)
    template = _five_points(t, "template")
    if template is None:
        raise t.wrong("needs 'template'")
    embedder = EmbedderInput(
        size_px=t.integer("size_px"),
        mean=(mean[0], mean[1], mean[2]),
        scale=t.number("scale"),
        colour=cast(Colour, colour),
        template=template,
        views=_views(t),
        lengths=cast(Lengths, lengths),
    )
    if not 16 <= embedder.size_px <= 1024 or embedder.scale <= 0:
        raise t.wrong("size_px must be 16 to 1024 and scale above 0")
    return embedder


def _five_points(t: Table, key: str) -> tuple[tuple[float, float], ...] | None:
    if key not in t.values:
        return None
    points = t.values[key]
    if not (isinstance(points, list) and len(points) == 5):
        raise t.wrong(f"{key} must be five points")
    return tuple(_pair(t, point) for point in points)


def _views(t: Table) -> tuple[View, ...]:
    """The listed views; without a list, the face and, unless `mirror` is false, its mirror image."""
    if "views" not in t.values:
        return (View(), View(mirror=True)) if t.flag("mirror", True) else (View(),)
    views = []
    for row in t.list_of_tables("views"):
        row.only("points", "mirror")
        view = View(
            points=cast(PointSource, row.text("points", "detector")),
            mirror=row.flag("mirror", False),
        )
        if view.points not in get_args(PointSource):
            raise row.wrong("points must be detector or mesh")
        views.append(view)
    if not 1 <= len(views) <= 64:
        raise t.wrong("must have 1 to 64 views")
    return tuple(views)


def _pair(t: Table, value: Any) -> tuple[float, float]:
    if isinstance(value, list) and len(value) == 2 and all(is_number(v) for v in value):
        return float(value[0]), float(value[1])
    raise t.wrong(f"{value!r} is not a point [x, y]")
