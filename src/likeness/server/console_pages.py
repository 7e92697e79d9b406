"""The console: a web page at GET /, made of the files in `console/`, and the settings that it needs.

    /                          index.html
    /console/VERSION/NAME      style sheets and ES modules; VERSION is a digest of all of them
    /console/server.json       settings that the page needs, and the false match rates by Similarity
    /console/samples/NAME      the sample portraits, where they are installed

Browsers revalidate the page by its ETag; it refers to the files by their version, so these are cached indefinitely. A
cached page appears after one short response, and a new version immediately. The Content-Security-Policy restricts the
page to its own origin and forbids inline scripts, inline styles and framing.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from likeness.server.loader import Loader
from likeness.server.pages import Page, Send, send_page
from likeness.server.settings import Settings

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
#: `blob:` is for the photos that the user chooses, which the page shows without sending them; `data:` for the empty
#: icon, without which browsers request /favicon.ico.
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_SECURITY = (
    (b"Content-Security-Policy", _CONTENT_SECURITY_POLICY.encode()),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Permissions-Policy", b"camera=(self), microphone=(), geolocation=(), payment=(), usb=()"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
)
_CACHED = ((b"Cache-Control", b"public, max-age=31536000, immutable"), *_SECURITY)
_REVALIDATED = ((b"Cache-Control", b"no-cache"), *_SECURITY)
_NOT_CACHED = ((b"Cache-Control", b"no-store"), *_SECURITY)


def console_pages(settings: Settings, loader: Loader, *, threads: int) -> Mapping[str, Page]:
    """The console's pages by path. `threads` is how many comparisons one worker runs at once."""
    folder = resources.files("likeness.server").joinpath("console")
    files = {entry.name: entry.read_bytes() for entry in folder.iterdir() if Path(entry.name).suffix in _TYPES}
    index = files.pop("index.html")
    version = hashlib.sha256(b"".join(files[name] for name in sorted(files))).hexdigest()[:12]
    named = re.sub(rb'(?<=")console/(?=[a-z]+\.)', f"console/{version}/".encode(), index)

    async def server(scope: Any, receive: Any, send: Send) -> None:  # noqa: ARG001
        about = _about(settings, loader, at_once=threads * settings.workers)
        await send_page(send, 200, msgspec.json.encode(about), "application/json", _NOT_CACHED)

    return {
        "/": _static(named, _TYPES[".html"], _REVALIDATED),
        **{
            f"/console/{version}/{name}": _static(body, _TYPES[Path(name).suffix], _CACHED)
            for name, body in files.items()
        },
        "/console/server.json": server,
        "/console/samples/": _sample,
    }


def _static(body: bytes, content_type: str, caching: tuple[tuple[bytes, bytes], ...]) -> Page:
    tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'.encode()
    headers = (*caching, (b"ETag", tag))

    async def page(scope: Any, receive: Any, send: Send) -> None:  # noqa: ARG001
        known = next((value for name, value in scope["headers"] if name == b"if-none-match"), b"")
        unchanged = tag in (each.strip().removeprefix(b"W/") for each in known.split(b","))
        await send_page(send, 304 if unchanged else 200, b"" if unchanged else body, content_type, headers)

    return page


def _about(settings: Settings, loader: Loader, *, at_once: int) -> Mapping[str, Any]:
    """The settings that the page needs. None is secret: any client can determine them by requests."""
    return {
        "ready": loader.is_ready,
        "pack": settings.pack,
        "promise": _promise(loader),
        "signed": settings.signed,
        "regions": settings.regions,
        "at_once": at_once,
        "max_image_bytes": settings.max_inline_bytes,
        "max_body_bytes": settings.body_limit_bytes,
        "min_side_px": settings.min_side_px,
        "max_pixels": settings.max_pixels,
        "verbose_errors": settings.verbose_errors,
        "samples": sorted(_samples()),
    }


def _promise(loader: Loader) -> Mapping[str, Any] | bool | None:
    """log10 of the false match rate at some Similarities, to interpolate linearly; None while the pack loads, False
    if it is not calibrated.

    `measured` is the lowest rate (log10) that the pack's data support; lower ones are shown as "rarer than". `whom`
    names the pairs that rates refer to.
    """
    # Not imported before the workers are forked: numpy starts threads, which do not survive a fork.
    from likeness.vision.calibration import PROMISE

    calibration = getattr(loader.engine, "calibration", None)
    if calibration is None:
        return None
    if math.isnan(float(calibration.false_match_rate(80.0))):
        return False
    marked = [level for level, _ in PROMISE]
    levels = [0.0, 50.0, *marked]
    return {
        "levels": levels,
        "rates": [round(math.log10(rate), 6) for rate in calibration.false_match_rate(levels)],
        "marked": marked,
        "measured": calibration.measured_log10_rate,
        "whom": calibration.whom,
    }


def _samples() -> Mapping[str, Path]:
    """The sample portraits by name, if they are installed; the console does not download them."""
    from likeness.packs.samples import NAME
    from likeness.packs.store import folder_of, is_installed, known

    entry = known(NAME)
    return {name: folder_of(entry) / name for name in entry.files} if is_installed(entry) else {}


async def _sample(scope: Any, receive: Any, send: Send) -> None:
    name = scope["path"].rpartition("/")[2]
    photo = _samples().get(name)
    if photo is None:
        await send_page(send, 404, b"there is no such sample portrait\n", "text/plain", _NOT_CACHED)
    else:
        await _static(photo.read_bytes(), "image/jpeg", _REVALIDATED)(scope, receive, send)
