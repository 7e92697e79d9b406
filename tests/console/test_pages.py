"""The console's files: headers, sizes, caching, and where it is served."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likeness.server.settings import Settings
from likeness.vision.calibration import PROMISE

from .conftest import CONSOLE, Served

pytestmark = pytest.mark.engine
MOST_BYTES = 60_000


def test_the_files_are_of_three_languages_and_do_not_grow() -> None:
    files = list(CONSOLE.iterdir())
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    assert {path.suffix for path in files} == {".html", ".css", ".js"}


def test_nothing_is_from_another_origin_and_nothing_is_inline() -> None:
    for path in CONSOLE.iterdir():
        text = path.read_text("utf-8")
        hosts = set(re.findall(r"https?://([a-z0-9.-]+)", text)) - {"www.w3.org", "localhost"}
        assert not hosts, f"{path.name} names {hosts}"
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(|document\.write", text), path.name
    page = (CONSOLE / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", page)


def versioned(server: Served, name: str) -> str:
    """The path that the page names for one of its files."""
    found = re.search(rf'"(console/[0-9a-f]{{12}}/{re.escape(name)})"', server.get("/").read().decode())
    assert found is not None
    return f"/{found[1]}"


def test_headers(server: Served) -> None:
    files = [versioned(server, name) for name in ("main.js", "page.css", "faces.css")]
    for path in ("/", *files, "/console/server.json", "/console/samples/obama.jpg"):
        headers = server.get(path).headers
        policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "camera=(self)" in headers["Permissions-Policy"]


def test_the_page_is_revalidated_and_its_files_are_cached(server: Served) -> None:
    first = server.get("/")
    assert (first.headers["Content-Type"], first.headers["Cache-Control"]) == ("text/html; charset=utf-8", "no-cache")
    tag = first.headers["ETag"]
    for known in (tag, f'"other", W/{tag}'):
        again = server.get("/", {"If-None-Match": known})
        assert (again.status, again.read()) == (304, b"")
    assert server.get("/", {"If-None-Match": '"other"'}).status == 200
    assert server.get("/", method="HEAD").read() == b""
    script = server.get(versioned(server, "main.js"))
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert "immutable" in script.headers["Cache-Control"]
    assert script.read() == (CONSOLE / "main.js").read_bytes()


def test_the_promise_is_the_packs(server: Served, comparer: Any) -> None:
    about = json.load(server.get("/console/server.json"))
    promise = about["promise"]
    assert about["ready"]
    assert not about["signed"]
    levels = dict(zip(promise["levels"], promise["rates"], strict=True))
    assert {level: levels[level] for level, _ in PROMISE} == dict(PROMISE)
    assert 10 ** levels[50.0] == pytest.approx(comparer.calibration.equal_error_rate, rel=1e-4)
    assert promise["measured"] == comparer.calibration.measured_log10_rate
    assert promise["whom"] == "different people of the same origin and sex"


def test_sample_portraits_are_served_and_nothing_else(server: Served, portraits: dict[str, Path]) -> None:
    about = json.load(server.get("/console/server.json"))
    assert about["samples"] == sorted(portraits)
    sent = server.get("/console/samples/obama.jpg").read()
    assert hashlib.sha256(sent).digest() == hashlib.sha256(portraits["obama.jpg"].read_bytes()).digest()
    for path in ("manifest.toml", "..%2Fmanifest.toml", "", "obama.jpg/x"):
        assert server.get(f"/console/samples/{path}").status == 404


def test_the_api_is_untouched_where_the_console_is(server: Served) -> None:
    assert server.get("/console/other.js").status == 403
    assert server.get("/", method="PUT").status == 403
    assert server.get("/", method="POST").status == 404


def test_below_a_prefix_and_where_it_is_off(serve: Callable[..., Served]) -> None:
    below = serve("--path-prefix", "/faces")
    base = Served(below.url.removesuffix("/faces"), below.folder)
    assert base.get("/faces/").read() == base.get("/").read()
    moved = base.get("/faces")
    assert (moved.status, moved.headers["Location"]) == (308, "/faces/")
    assert base.get(f"/faces{versioned(base, 'main.js')}").status == 200
    assert f"Console for your browser: {below.url}/" in (below.folder / "stderr").read_text()
    off = serve("--no-console")
    assert off.get("/").status == 403
    assert off.get(versioned(base, "main.js")).status == 403
    assert off.get("/console/server.json").status == 403
    assert "The console is off" in (off.folder / "stderr").read_text()


def test_by_default_it_is_on_where_only_this_machine_can_connect() -> None:
    assert Settings().serves_console
    assert Settings(host="::1").serves_console
    assert not Settings(host="0.0.0.0").serves_console
    assert not Settings(unix_socket=Path("/run/likeness.sock")).serves_console
    assert Settings(host="0.0.0.0", console=True).serves_console
    assert not Settings(console=False).serves_console
