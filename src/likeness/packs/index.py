"""Where a distribution file lies: the simple index API (PEP 503 HTML and PEP 691 JSON), pip's find-links, npm's index.

Only the exact file name of the pin is looked for; nothing is resolved, built, imported or executed.
"""

import json
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit
from urllib.request import url2pathname

from likeness.errors import PackDownloadFailed
from likeness.packs.manifest import Distribution
from likeness.packs.web import Web, host_of, redacted

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_ACCEPT_NPM = "application/vnd.npm.install-v1+json, application/json;q=0.5"
_MAX_PAGE_BYTES = 64 * 1024 * 1024
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Link:
    """A file offered by an index: its name, its address, and the SHA-256 that the index states ("" when it states
    none).
    """

    file: str
    url: str
    sha256: str


def locate(distribution: Distribution, web: Web) -> Iterator[str | Path]:
    """The places that offer the file of `distribution`, best first: local files as Path, others as URL.

    An index that cannot be read is passed over; PackDownloadFailed with all reasons when no place offers the file.
    """
    reasons: list[str] = []
    found = False
    places = [(place, False) for place in web.settings.find_links]
    if distribution.index == "python":
        places += [(f"{index}/{normalised(distribution.project)}/", True) for index in web.settings.indexes]
    for place, is_index in places:
        try:
            links = _links(place, web, distribution.file)
        except PackDownloadFailed as error:
            _log.debug("%s", error)
            # A configured folder that is not there is common and harmless; an index that fails is worth telling.
            if is_index and not place.startswith("file:"):
                reasons.append(str(error))
            continue
        matching = [link for link in links if link.file == distribution.file]
        if not matching and is_index and not place.startswith("file:"):
            reasons.append(f"{host_of(place)} does not have it")
        for link in matching:
            if link.sha256 and link.sha256 != distribution.sha256:
                reasons.append(f"{host_of(place)} has a file of that name with another SHA-256 ({link.sha256[:12]}…)")
                continue
            found = True
            yield _local_path(link.url) or link.url
    if distribution.index == "npm" and web.settings.indexes:
        try:
            yield _npm_address(distribution, web)
            found = True
        except PackDownloadFailed as error:
            reasons.append(str(error))
    if not found:
        raise PackDownloadFailed(_not_found(distribution, reasons, web))


def normalised(project: str) -> str:
    """A project's name as it stands in index addresses (PEP 503)."""
    return re.sub(r"[-_.]+", "-", project).lower()


def _npm_address(distribution: Distribution, web: Web) -> str:
    """Where npm's index keeps the release: the abbreviated form of a package's metadata (npm registry API,
    "package-metadata").
    """
    registry = web.npm.registry_of(distribution.project)
    page = f"{registry}/{quote(distribution.project, safe='@')}"
    status, _, final, body = web.read_page(page, accept=_ACCEPT_NPM, limit=_MAX_PAGE_BYTES)
    if status != 200:
        raise PackDownloadFailed(f"{redacted(page)} answers {status}{_hint(status)}")
    try:
        addresses = {version: release["dist"]["tarball"] for version, release in json.loads(body)["versions"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PackDownloadFailed(f"{redacted(page)} does not answer like npm's index (unreadable JSON)") from error
    if distribution.version not in addresses:
        raise PackDownloadFailed(f"{host_of(page)} does not have it")
    return urljoin(final, str(addresses[distribution.version]))


def _not_found(distribution: Distribution, reasons: list[str], web: Web) -> str:
    if not web.settings.indexes:
        reasons.append("pip's configuration says no-index")
    why = "; ".join(dict.fromkeys(reasons)) or "no place that pip is configured with offers it"
    npm = distribution.index == "npm"
    where, mirror = (
        ("npm's index", "npm config set registry URL")
        if npm
        else ("the package index", "pip config set global.index-url URL")
    )
    return (
        f"{distribution.file} ({distribution.project}{'@' if npm else '=='}{distribution.version}) was not found on "
        f"{where}: {why}. Check the network, or name a mirror (`{mirror}`), or put the file into a folder and install "
        "with --from DIR, or use a pack of your own (docs/packs.md)"
    )


def _links(place: str, web: Web, file: str) -> list[Link]:
    """The links of an index page or of a find-links place (a folder, a page, or a file itself)."""
    local = _local_path(place)
    if local is not None:
        return _local_links(local, file)
    status, content_type, final, body = web.read_page(place, accept=_ACCEPT, limit=_MAX_PAGE_BYTES)
    if status != 200:
        raise PackDownloadFailed(f"{redacted(place)} answers {status}{_hint(status)}")
    return parse_page(body, content_type, final)


def _hint(status: int) -> str:
    return {401: " (credentials are missing or wrong)", 403: " (forbidden)", 407: " (the proxy wants credentials)"}.get(
        status, ""
    )


def _local_links(path: Path, file: str) -> list[Link]:
    if path.is_file():
        if path.suffix in (".html", ".htm"):
            return parse_page(path.read_bytes(), "text/html", path.as_uri())
        return [Link(path.name, path.as_uri(), "")]
    if (path / file).is_file():
        return [Link(file, (path / file).absolute().as_uri(), "")]
    page = path / "index.html"
    if page.is_file():
        return parse_page(page.read_bytes(), "text/html", page.absolute().as_uri())
    if not path.is_dir():
        raise PackDownloadFailed(f"the folder {path} of pip's configuration does not exist")
    return []


def _local_path(place: str) -> Path | None:
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    # One letter before the colon is a Windows drive.
    return Path(os.path.expanduser(place)) if len(parts.scheme) <= 1 else None


def parse_page(body: bytes, content_type: str, base: str) -> list[Link]:
    """The links on a project page in either form; `base` is its address. PackDownloadFailed when it is neither."""
    if "json" in content_type:
        return _parse_json(body, base)
    parser = _AnchorParser(base)
    parser.feed(body.decode("utf-8", "replace"))
    return parser.links


def _parse_json(body: bytes, base: str) -> list[Link]:
    try:
        page: Any = json.loads(body)
        return [
            Link(str(f["filename"]), urljoin(base, str(f["url"])), str((f.get("hashes") or {}).get("sha256", "")))
            for f in page["files"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PackDownloadFailed(f"{redacted(base)} does not answer like a package index (unreadable JSON)") from error


class _AnchorParser(HTMLParser):
    """Collects the anchors of a PEP 503 page; the fragment of each may state a hash."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.links: list[Link] = []
        self._base = base

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "base" and values.get("href"):
            self._base = urljoin(self._base, values["href"] or "")
        if tag != "a" or not values.get("href"):
            return
        address, _, fragment = urljoin(self._base, values["href"] or "").partition("#")
        name = unquote(urlsplit(address).path).rpartition("/")[2]
        sha256 = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else ""
        self.links.append(Link(name, address, sha256))
