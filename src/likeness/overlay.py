"""The annotated picture of a comparison: both photos side by side, with boxes, landmarks and similarities.

A matching face has a solid box and a tick, any other a dashed box and a cross, so that they differ without colours.
Lines have a dark edge around a bright core, and text has a background, so that both are visible on light and dark
photos. Photos are scaled to one height, so that labels are legible on photos of 200 px and of 12 megapixels alike.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from likeness.errors import LikenessError
from likeness.faces import BoundingBox, Comparison, Face
from likeness.image import open_image
from likeness.system.atomic_file import atomic_file

#: Photos to draw on: encoded bytes, a path, or upright RGB pixels (height, width, 3) of uint8.
Photo = bytes | bytearray | memoryview | str | PathLike[str] | NDArray[np.uint8]

Kind = Literal["source", "match", "no match"]
Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]
Colour = tuple[int, int, int]

#: Okabe and Ito's colours, distinct for colour-blind readers; the dashes distinguish them in grey print.
_COLOURS: dict[Kind, Colour] = {"source": (240, 228, 66), "match": (86, 200, 255), "no match": (255, 159, 28)}
_EDGE: Colour = (12, 14, 18)
_GROUND: Colour = (24, 27, 33)
_TEXT: Colour = (240, 242, 245)
_QUIET_TEXT: Colour = (168, 174, 184)

#: Limits of the height of both photos, and of the width of each, px.
_LEAST_HEIGHT_PX, _MOST_HEIGHT_PX = 480, 1080
_MOST_WIDTH_PX = 1600
_GAP_PX = 16
#: Below the legend where the pack is not calibrated.
_UNCALIBRATED = "Not calibrated: a similarity is the cosine in percent, and says nothing of false matches."
#: Shapes are drawn larger by this factor and then reduced, for smooth edges.
_FINER = 2


class OverlayNotWritten(LikenessError):
    """The annotated picture cannot be written; the message names the file and the reason."""


def write_overlay(path: str | PathLike[str], source: Photo, target: Photo, comparison: Comparison) -> None:
    """Draws a comparison and writes it as PNG to `path`, completely or not at all.

    Arguments as for `draw_overlay`. Raises OverlayNotWritten if the file cannot be written, and the errors of
    `open_image`.
    """
    picture = draw_overlay(source, target, comparison)
    try:
        with atomic_file(Path(path), mode=0o666) as file:
            picture.save(file, format="PNG")
    except OSError as error:
        raise OverlayNotWritten(
            f"cannot write the annotated picture {path}: {error.strerror or error}. "
            "Name a file in a folder that exists and may be written to."
        ) from error


def draw_overlay(source: Photo, target: Photo, comparison: Comparison) -> Image.Image:
    """The annotated picture, RGB: left the source photo with its face, right the target photo with all compared faces.

    The two photos that were compared are encoded bytes, paths, or upright RGB pixels (height, width, 3) of uint8.
    """
    photos = [open_image(photo, name=name) for photo, name in ((source, "source photo"), (target, "target photo"))]
    height_px = int(np.clip(max(photo.height for photo in photos), _LEAST_HEIGHT_PX, _MOST_HEIGHT_PX))
    panels = []
    for photo in photos:
        scale = min(height_px / photo.height, _MOST_WIDTH_PX / photo.width)
        size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
        pixels = photo.pixels(photo.reduction_for(max(size)))
        panels.append(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    _annotate(panels[0], [_Mark("source", comparison.source, None)])
    _annotate(panels[1], _target_marks(comparison))
    return _side_by_side(panels, _captions(comparison), "" if comparison.calibrated else _UNCALIBRATED)


@dataclass(frozen=True, slots=True)
class _Mark:
    """A face to be drawn, and its similarity; None for the source face."""

    kind: Kind
    face: Face
    similarity: float | None


def _target_marks(comparison: Comparison) -> list[_Mark]:
    """The target photo's faces, the best one last, so that it is drawn on top."""
    unmatched = [_Mark("no match", each.face, each.similarity) for each in comparison.unmatched]
    return unmatched + [_Mark("match", each.face, each.similarity) for each in reversed(comparison.matches)]


def _captions(comparison: Comparison) -> tuple[str, str]:
    matched, unmatched = len(comparison.matches), len(comparison.unmatched)
    if matched + unmatched == 0:
        return "source", "target: no face compared"
    faces = "1 face" if matched + unmatched == 1 else f"{matched + unmatched} faces"
    matches = "1 match" if matched == 1 else f"{matched} matches" if matched else "no match"
    return "source", f"target: {faces}, {matches}"


# -- one photo --------------------------------------------------------------------------------------------------------


def _annotate(panel: Image.Image, marks: Sequence[_Mark]) -> None:
    """Draws boxes and landmarks, then labels at places that hide as little as possible of labels and faces."""
    layer = Image.new("RGBA", (panel.width * _FINER, panel.height * _FINER))
    pen = ImageDraw.Draw(layer)
    boxes = [_in_px(mark.face.bounding_box, layer) for mark in marks]
    thickness_px = max(2.0, panel.height / 300) * _FINER
    for mark, box in zip(marks, boxes, strict=True):
        _draw_face(pen, mark, box, layer, thickness_px)
    taken: list[Rectangle] = []
    for mark, box in reversed(list(zip(marks, boxes, strict=True))):
        if mark.similarity is not None:
            taken.append(_draw_label(pen, mark, box, boxes, taken, layer))
    small = layer.resize(panel.size, Image.Resampling.BOX)
    panel.paste(small, mask=small.getchannel("A"))


def _in_px(box: BoundingBox, layer: Image.Image) -> Rectangle:
    left, top = box.left * layer.width, box.top * layer.height
    return left, top, left + box.width * layer.width, top + box.height * layer.height


def _draw_face(pen: ImageDraw.ImageDraw, mark: _Mark, box: Rectangle, layer: Image.Image, thickness_px: float) -> None:
    width_px = min(box[2] - box[0], box[3] - box[1])
    thickness = max(_FINER, round(min(thickness_px, width_px / 18)))
    colour = _COLOURS[mark.kind]
    lines = _sides(box) if mark.kind != "no match" else _dashes(box, dash_px=max(5.0 * thickness, width_px / 9))
    edge = max(1, round(0.6 * thickness))
    for start, end in lines:
        _draw_bar(pen, start, end, thickness + 2 * edge, _EDGE)
    for start, end in lines:
        _draw_bar(pen, start, end, thickness, colour)
    radius = max(1.2 * _FINER, min(1.4 * thickness_px, width_px / 32))
    for landmark in mark.face.landmarks:
        centre = (landmark.x * layer.width, landmark.y * layer.height)
        _draw_dot(pen, centre, radius + max(1.0, 0.5 * radius), _EDGE)
        _draw_dot(pen, centre, radius, colour)


def _sides(box: Rectangle) -> list[tuple[Point, Point]]:
    left, top, right, bottom = box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return [(corners[place], corners[(place + 1) % 4]) for place in range(4)]


def _dashes(box: Rectangle, dash_px: float) -> list[tuple[Point, Point]]:
    """Each side as dashes, with gaps of two thirds of their length; corners are always drawn."""
    pieces = []
    for (x1, y1), (x2, y2) in _sides(box):
        length = max(abs(x2 - x1), abs(y2 - y1))
        count = max(2, round((length + dash_px * 2 / 3) / (dash_px * 5 / 3)))
        unit = 1 / (count + (count - 1) * 2 / 3)
        for place in range(count):
            start = place * unit * 5 / 3
            ends = [(x1 + (x2 - x1) * part, y1 + (y2 - y1) * part) for part in (start, start + unit)]
            pieces.append((ends[0], ends[1]))
    return pieces


def _draw_bar(pen: ImageDraw.ImageDraw, start: Point, end: Point, thickness: int, colour: Colour) -> None:
    """A horizontal or vertical line, extended by half its thickness at both ends, so that corners join."""
    half = thickness / 2
    low = (min(start[0], end[0]) - half, min(start[1], end[1]) - half)
    pen.rectangle((low, (max(start[0], end[0]) + half, max(start[1], end[1]) + half)), fill=(*colour, 255))


def _draw_dot(pen: ImageDraw.ImageDraw, centre: Point, radius: float, colour: Colour) -> None:
    x, y = centre
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*colour, 255))


# -- labels -----------------------------------------------------------------------------------------------------------


def _draw_label(
    pen: ImageDraw.ImageDraw,
    mark: _Mark,
    box: Rectangle,
    boxes: Sequence[Rectangle],
    taken: Sequence[Rectangle],
    layer: Image.Image,
) -> Rectangle:
    """Draws the similarity with its tick or cross near the face's box; returns the rectangle of its background."""
    text = _percent(mark.similarity or 0.0)
    largest_px = max(15.0, layer.height / _FINER / 34) * _FINER
    size_px = float(np.clip(0.24 * (box[2] - box[0]), 12.0 * _FINER, largest_px))
    font = _font(size_px)
    padding = 0.3 * size_px
    sign_px = 0.62 * size_px
    width = sign_px + 0.3 * size_px + font.getlength(text) + 2 * padding
    height = size_px * 1.05 + padding
    others = [other for other in boxes if other is not box]
    ground = _free_place((width, height), box, others, taken, layer)
    left, top, right, bottom = ground
    colour = _COLOURS[mark.kind]
    edge = max(_FINER, round(size_px / 11))
    pen.rounded_rectangle(ground, radius=0.25 * size_px, fill=(*_EDGE, 255), outline=(*colour, 255), width=edge)
    middle = (top + bottom) / 2
    _draw_sign(pen, mark.kind, (left + padding + sign_px / 2, middle), sign_px, colour)
    pen.text((right - padding, middle), text, font=font, fill=(*_TEXT, 255), anchor="rm")
    return ground


def _percent(similarity: float) -> str:
    """One decimal, rounded down, so that 99.99 does not read as 100, nor 79.99 as 80."""
    return f"{int(similarity * 10 + 1e-9) / 10:.1f}"


def _draw_sign(pen: ImageDraw.ImageDraw, kind: Kind, centre: Point, size: float, colour: Colour) -> None:
    """A tick or a cross, `size` wide."""
    x, y = centre
    half, thickness = size / 2, max(_FINER, round(size / 5))
    fill = (*colour, 255)
    if kind == "match":
        strokes = [[(x - half, y), (x - 0.25 * half, y + 0.7 * half), (x + half, y - 0.75 * half)]]
    else:
        reach = 0.75 * half
        strokes = [
            [(x - reach, y - reach), (x + reach, y + reach)],
            [(x - reach, y + reach), (x + reach, y - reach)],
        ]
    for stroke in strokes:
        pen.line(stroke, fill=fill, width=thickness, joint="curve")


def _free_place(
    size: tuple[float, float],
    box: Rectangle,
    others: Sequence[Rectangle],
    taken: Sequence[Rectangle],
    layer: Image.Image,
) -> Rectangle:
    """The place around or within the box where a label of this size hides least: hidden labels cost most, then other
    faces.
    """
    left, top, right, bottom = box
    width, height = size
    gap = 3 * _FINER
    middle = (left + right - width) / 2
    tops = [(x, y) for y in (top - height - gap, bottom + gap) for x in (middle, left, right - width)]
    sides = [(x, y) for x in (right + gap, left - width - gap) for y in (top, bottom - height)]
    inside = [(middle, bottom - height - gap), (middle, top + gap)]
    best: tuple[float, Rectangle] | None = None
    for rank, (x, y) in enumerate([*tops, *sides, *inside]):
        x = min(max(x, 0.0), max(layer.width - width - 1, 0.0))
        y = min(max(y, 0.0), max(layer.height - height - 1, 0.0))
        ground = (x, y, x + width, y + height)
        hidden = 4 * _covered(ground, taken) + _covered(ground, others) + 0.5 * _covered(ground, [box])
        cost = hidden / (width * height) + 0.01 * rank
        if best is None or cost < best[0]:
            best = (cost, ground)
    assert best is not None
    return best[1]


def _covered(ground: Rectangle, rectangles: Iterable[Rectangle]) -> float:
    """The sum of the areas of `ground` that each of `rectangles` covers."""
    total = 0.0
    for left, top, right, bottom in rectangles:
        across = min(ground[2], right) - max(ground[0], left)
        down = min(ground[3], bottom) - max(ground[1], top)
        total += max(across, 0.0) * max(down, 0.0)
    return total


def _font(size_px: float) -> ImageFont.FreeTypeFont:
    """Pillow's built-in scalable font, so that the picture is the same on every machine."""
    font = ImageFont.load_default(size_px)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise OverlayNotWritten("this Pillow was built without FreeType; install the wheel from the package index")
    return font


# -- both photos ------------------------------------------------------------------------------------------------------


def _side_by_side(panels: Sequence[Image.Image], captions: Sequence[str], note: str) -> Image.Image:
    """The photos on one background, with a caption above each, and the legend and a note, if any, below."""
    height_px = max(panel.height for panel in panels)
    text_px = float(np.clip(height_px / 30, 16, 30))
    strip_px = round(2.0 * text_px)
    font = _font(text_px)
    below_px = max(_legend_width(text_px * 0.85), round(font.getlength(note)))
    notes_px = strip_px if note else 0
    widths = [max(panel.width, round(font.getlength(text)) + 1) for panel, text in zip(panels, captions, strict=True)]
    width_px = max(sum(widths) + _GAP_PX, below_px) + 2 * _GAP_PX
    picture = Image.new("RGB", (width_px, height_px + 2 * strip_px + _GAP_PX + notes_px), _GROUND)
    pen = ImageDraw.Draw(picture)
    left = _GAP_PX
    for panel, caption, width in zip(panels, captions, widths, strict=True):
        pen.text((left, strip_px / 2), caption, font=font, fill=_TEXT, anchor="lm")
        picture.paste(panel, (left, strip_px))
        left += width + _GAP_PX
    _draw_legend(picture, (_GAP_PX, strip_px + height_px + _GAP_PX // 2), text_px * 0.85, strip_px)
    note_y = picture.height - _GAP_PX // 2 - strip_px / 2
    pen.text((_GAP_PX, note_y), note, font=font, fill=_COLOURS["no match"], anchor="lm")
    return picture


_LEGEND: tuple[tuple[Kind, str], ...] = (
    ("source", "source face"),
    ("match", "match, with its similarity"),
    ("no match", "no match"),
)


def _legend_width(text_px: float) -> int:
    font = _font(text_px)
    return round(sum(3.6 * text_px + font.getlength(text) for _, text in _LEGEND))


def _draw_legend(picture: Image.Image, corner: tuple[int, int], text_px: float, strip_px: int) -> None:
    """Draws a sample of each kind of box with its meaning."""
    layer = Image.new("RGBA", (picture.width * _FINER, strip_px * _FINER))
    pen = ImageDraw.Draw(layer)
    font, unit = _font(text_px * _FINER), text_px * _FINER
    x, middle = 0.0, strip_px * _FINER / 2
    for kind, text in _LEGEND:
        box = (x + 0.2 * unit, middle - 0.55 * unit, x + 1.5 * unit, middle + 0.55 * unit)
        for start, end in _sides(box) if kind != "no match" else _dashes(box, dash_px=0.32 * unit):
            _draw_bar(pen, start, end, round(0.13 * unit), _COLOURS[kind])
        if kind != "source":
            _draw_sign(pen, kind, (x + 0.85 * unit, middle), 0.62 * unit, _COLOURS[kind])
        pen.text((x + 1.9 * unit, middle), text, font=font, fill=(*_QUIET_TEXT, 255), anchor="lm")
        x += 3.2 * unit + font.getlength(text)
    small = layer.resize((picture.width, strip_px), Image.Resampling.BOX)
    picture.paste(small, corner, mask=small.getchannel("A"))
