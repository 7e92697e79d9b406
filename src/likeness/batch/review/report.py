"""Records → pages for a reviewer: pairs closest to the threshold first, both faces side by side, quality warnings.

A page is a self-contained file. Up to 500 pairs are on one page; more are in a folder of pages.
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from pathlib import Path

from likeness.batch.errors import BatchError
from likeness.counted import counted
from likeness.faces import Face
from likeness.system.atomic_file import check_writable, write_atomically
from likeness.vision.calibration import Calibration

PAIRS_A_PAGE = 500
# Photos within these values get no warning: the specification's limits with a margin (section 8).
_SHARP, _BRIGHT, _GLARING, _TURNED_DEG = 40.0, 30.0, 92.0, 30.0


@dataclass(frozen=True, slots=True)
class Side:
    """One photo of a pair: its name, its face, and a crop of the face; None if it can no longer be read."""

    name: str
    face: Face | None
    crop: bytes | None


@dataclass(frozen=True, slots=True)
class ReviewedPair:
    """A pair on a page."""

    source: Side
    target: Side
    similarity: float


@dataclass(frozen=True, slots=True)
class About:
    """The title and the figures in the head of a report."""

    title: str
    pack: str
    threshold: float
    calibration: Calibration
    pairs_in_all: int


def check_report(path: Path) -> None:
    """Raises BatchError unless a report can be written there."""
    if path.suffix.lower() != ".html":
        raise BatchError(f"{path}: a report must be a .html file")
    try:
        check_writable(path)
    except OSError as error:
        raise BatchError(f"{path}: {error.strerror}") from error


def write_report(path: Path, pairs: Iterable[ReviewedPair], count: int, about: About) -> list[Path]:
    """Writes `count` ordered pairs as one page at `path`, or as pages in a folder with its name.

    Returns the pages.
    """
    check_report(path)
    pages = max(1, -(-count // PAIRS_A_PAGE))
    if pages == 1:
        write_atomically(path, _page(list(pairs), about, 1, [path.name]).encode())
        return [path]
    folder = path.with_suffix("")
    folder.mkdir(mode=0o700, exist_ok=True)
    names = ["index.html", *(f"page-{number}.html" for number in range(2, pages + 1))]
    rest = iter(pairs)
    for number, name in enumerate(names, 1):
        some = list(islice(rest, PAIRS_A_PAGE))
        write_atomically(folder / name, _page(some, about, number, names).encode())
    return [folder / name for name in names]


def _page(pairs: Sequence[ReviewedPair], about: About, number: int, names: Sequence[str]) -> str:
    first = (number - 1) * PAIRS_A_PAGE + 1
    filled = {
        "TITLE": html.escape(about.title),
        "STYLE": _part("page.css"),
        "SCRIPT": _part("page.js"),
        "PAGES": _links(number, names),
        "ABOUT": html.escape(
            f"{len(pairs):,} of {counted(about.pairs_in_all, 'pair')}, closest to the threshold {about.threshold:g} "
            f"first; {about.pack}. Threshold {about.threshold:g}: {about.calibration.claim(about.threshold).of_pairs}."
        ),
        "KEY": json.dumps(f"likeness {about.title} {number}").replace("<", "\\u003c"),
        "PAIRS": "\n".join(_pair(pair, place, about) for place, pair in enumerate(pairs, first)),
    }
    # In one pass, so that placeholders in the names of photos are not replaced.
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda place: filled[place[1]], _part("page.html"))


def _pair(pair: ReviewedPair, place: int, about: About) -> str:
    verdict = "match" if pair.similarity >= about.threshold else "no match"
    names = f"{html.escape(pair.source.name)} and {html.escape(pair.target.name)}"
    warned = [*_warnings(pair.source.face, "source"), *_warnings(pair.target.face, "target")]
    warnings = "".join(f"<li>{html.escape(each)}</li>" for each in warned)
    return f"""<li class="pair" id="pair-{place}" tabindex="-1" data-verdict="{verdict}" data-warned="{bool(warned)}"
 data-source="{html.escape(pair.source.name)}" data-target="{html.escape(pair.target.name)}"
 data-similarity="{pair.similarity!r}" aria-label="Pair {place}: {names}">
<h2>Pair {place}</h2>
<div class="faces">{_side(pair.source, "Source")}{_side(pair.target, "Target")}</div>
<p class="similarity"><strong>{pair.similarity:.2f}</strong> <span class="{verdict.replace(" ", "-")}">{verdict}</span>
<span class="rate">{html.escape(about.calibration.claim(pair.similarity).of_pairs)}</span></p>
{f'<ul class="warnings" aria-label="Quality warnings">{warnings}</ul>' if warned else ""}
<fieldset><legend>Decision</legend>{"".join(_choice(place, each) for each in ("accept", "reject", "defer"))}</fieldset>
<label class="note">Note <input type="text" name="note-{place}" autocomplete="off"></label>
</li>"""


def _choice(place: int, decision: str) -> str:
    key = decision[0]
    return (
        f'<label><input type="radio" name="decision-{place}" value="{decision}" aria-keyshortcuts="{key}"> '
        f"{decision.capitalize()} <kbd>{key}</kbd></label>"
    )


def _side(side: Side, role: str) -> str:
    name = html.escape(side.name)
    if side.crop is None:
        picture = '<div class="gone">The photo can no longer be read.</div>'
    else:
        data = base64.b64encode(side.crop).decode()
        picture = f'<img src="data:image/jpeg;base64,{data}" width="192" height="192" alt="{role} face of {name}">'
    return f"<figure>{picture}<figcaption>{role}: <code>{name}</code></figcaption></figure>"


def _warnings(face: Face | None, role: str) -> Iterator[str]:
    if face is None:
        return iter(())
    quality, pose = face.quality, face.pose
    checks: tuple[tuple[bool, str], ...] = (
        (quality.sharpness < _SHARP, "blurred"),
        (quality.brightness < _BRIGHT, "dark"),
        (quality.brightness > _GLARING, "overexposed"),
        (abs(pose.yaw) > _TURNED_DEG, f"turned {abs(pose.yaw):.0f}° to the side"),
        (abs(pose.pitch) > _TURNED_DEG, f"turned {abs(pose.pitch):.0f}° {'down' if pose.pitch < 0 else 'up'}"),
    )
    return (f"The {role} face is {what}." for bad, what in checks if bad)


def _links(number: int, names: Sequence[str]) -> str:
    if len(names) == 1:
        return ""
    links = [
        f'<a href="{name}"{" aria-current=page" if place == number else ""}>{place}</a>'
        for place, name in enumerate(names, 1)
    ]
    return f'<nav aria-label="Pages">Pages {" ".join(links)}</nav>'


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")
