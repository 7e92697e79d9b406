"""Servers with the real engine and the console, a real browser, and Node for the modules without a page."""

import contextlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.listening import exit_code

CONSOLE = Path(__file__).resolve().parents[2] / "src" / "likeness" / "server" / "console"
LIKENESS = Path(sys.executable).with_name("likeness")
START_SECONDS = 90
#: For `add_init_script`: `drawnMs` becomes the milliseconds from an answer's arrival until it is painted.
WATCH_DRAWING = """
  const { text } = Response.prototype;
  Response.prototype.text = async function () {
    const got = await text.call(this);
    globalThis.arrived = performance.now();
    return got;
  };
  new MutationObserver((changes) => {
    if (!changes.some(({ target }) => target.id === "results" && !target.hidden)) return;
    requestAnimationFrame(() => setTimeout(() => { globalThis.drawnMs = performance.now() - globalThis.arrived; }));
  }).observe(document, { subtree: true, attributes: true, attributeFilter: ["hidden"] });
"""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Any
    body: bytes

    def read(self) -> bytes:
        return self.body


@dataclass(frozen=True)
class Served:
    url: str
    folder: Path

    def get(self, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> Reply:
        request = urllib.request.Request(self.url + path, headers=headers or {}, method=method)
        opener = urllib.request.build_opener(
            _NoRedirects,
            urllib.request.ProxyHandler({}),
            # The tests' certificates are signed by themselves.
            urllib.request.HTTPSHandler(context=ssl._create_unverified_context()),
        )
        try:
            response = opener.open(request, timeout=60)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            return Reply(response.status, response.headers, response.read())

    def wait_for_log(self, request_id: str) -> None:
        """Waits for the request's line in the log, which a thread writes after the answer has left."""
        end = time.monotonic() + 60
        while f'"request_id":"{request_id}"' not in (self.folder / "stdout").read_text():
            assert time.monotonic() < end, f"no line of request {request_id} in the log"
            time.sleep(0.05)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        return None


def start_server(folder: Path, *flags: str) -> "tuple[subprocess.Popen[bytes], Served]":
    """`likeness serve` on a free port, ready."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"XDG_CONFIG_HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true"}
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen([LIKENESS, "serve", "--port", "0", *flags], stdout=out, stderr=err, env=environment)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"listens on (http\S+)", (folder / "stderr").read_text())
        if found:
            served = Served(found[1], folder)
            with contextlib.suppress(OSError):
                if served.get("/readyz").status == 200:
                    return process, served
        time.sleep(0.1)
    process.kill()
    raise AssertionError((folder / "stderr").read_text())


@pytest.fixture(scope="session")
def serve(standard_pack: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Starts servers with the flags given; ends them after the last test."""
    started = []

    def start(*flags: str) -> Served:
        process, served = start_server(tmp_path_factory.mktemp("console"), *flags)
        started.append((process, served))
        return served

    yield start
    for process, _ in started:
        process.terminate()
    codes = [exit_code(process, served.folder / "stderr") for process, served in started]
    assert codes == [0] * len(codes)


@pytest.fixture(scope="session")
def server(serve: Callable[..., Served]) -> Served:
    """An open server with the defaults."""
    return serve()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page of a server, which must break no rule of its policy and throw no error."""
    contexts, troubles = [], []

    def tell(message: Any) -> None:
        # The browser notes every answer that is not 200; those are what some tests are about.
        if message.type == "error" and "Failed to load resource" not in message.text:
            troubles.append(message.text)

    def open_(url: str, **options: Any) -> Any:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", tell)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(url)
        until(page, "document.getElementById('access').textContent !== ''")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert troubles == []


def until(page: Any, condition: str, seconds: float = 60) -> None:
    """Waits for a JavaScript expression to become true; Playwright's own way to wait is refused by the policy."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"not true within {seconds} s: {condition}"
        page.wait_for_timeout(20)


@pytest.fixture(scope="session")
def node() -> Callable[..., Any]:
    """Runs an ES module's text in Node with the console's modules at hand; its printed JSON is returned."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("the console's modules are tested with node")

    def run(text: str, given: Any = None) -> Any:
        text = text.replace("console/", f"{CONSOLE.as_uri()}/")
        done = subprocess.run(
            [program, "--no-warnings", "--experimental-default-type=module", "--input-type=module", "-e", text],
            input=json.dumps(given).encode(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def photo_files(portraits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Photos of every kind that a person may drop, by what they are."""
    folder = tmp_path_factory.mktemp("photos")

    def small(name: str) -> Image.Image:
        image = Image.open(portraits[name]).convert("RGB")
        image.thumbnail((480, 480))
        return image

    def save(name: str, image: Image.Image, **options: Any) -> Path:
        image.save(folder / name, **options)
        return folder / name

    person, again, other = small("obama.jpg"), small("obama2.jpg"), small("biden.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    turned = again.transpose(Image.Transpose.ROTATE_90)
    buffer = BytesIO()
    person.save(buffer, "JPEG", quality=90)
    noise = Image.effect_noise((1400, 1400), 90).convert("RGB")
    (folder / "damaged.jpg").write_bytes(buffer.getvalue()[:200])
    return {
        "person": save("person.jpg", person, quality=90),
        "again": save("again.jpg", again, quality=90),
        "other": save("other.png", other),
        "turned": save("turned.jpg", turned, quality=90, exif=exif),
        "turned-png": save("turned.png", again, exif=exif),
        "no-face": save("no-face.png", Image.new("RGB", (320, 240), (90, 140, 200))),
        "too-small": save("too-small.png", person.resize((60, 75))),
        "gif": save("animation.gif", person),
        "large": save("large.png", noise, compress_level=0),
        "huge": save("huge.png", noise.resize((2400, 2400)), compress_level=0),
        "damaged": folder / "damaged.jpg",
    }


def crowd(portraits: dict[str, Path], *, rows: int = 10, columns: int = 10, side: int = 120) -> Image.Image:
    """Faces of the sample portraits, side by side."""
    crops = []
    for name, box in (
        ("obama.jpg", (330, 20, 690, 440)),
        ("biden.jpg", (280, 60, 730, 610)),
        ("obama2.jpg", (130, 170, 520, 640)),
    ):
        crops.append(Image.open(portraits[name]).convert("RGB").crop(box).resize((side, round(side * 1.2))))
    picture = Image.new("RGB", (columns * side, rows * round(side * 1.2)))
    for at in range(rows * columns):
        picture.paste(crops[at % len(crops)], ((at % columns) * side, (at // columns) * round(side * 1.2)))
    return picture
