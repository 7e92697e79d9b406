"""`make screenshots`: pictures of the console's main states, and its rendering times.

    screenshots/NAME.png      each state, in the window's size and colour scheme of its name

Prints the time to the first paint of a cached page (ETag), and from the arrival of an answer until it is painted, for a
pair and for a crowd of 100 faces (medians of nine). With `--times` it only prints these.
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright
from tests.conftest import CHROMIUM
from tests.console.conftest import WATCH_DRAWING, Served, crowd, start_server, until
from tests.listening import exit_code

from likeness import packs
from likeness.aws.keys import create_key

OUT = Path("screenshots")
WIDE, LAPTOP, PHONE = {"width": 1920, "height": 1080}, {"width": 1280, "height": 800}, {"width": 360, "height": 740}
ANSWERED = "!document.getElementById('results').hidden"
DESCRIBED = "document.querySelector('[data-side=source] .marks .points')?.getAttribute('d')"


def main() -> int:
    if not CHROMIUM:
        print("make screenshots needs Chromium: apt-get install chromium", file=sys.stderr)
        return 1
    packs.install("standard")
    packs.install("samples")
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        photos = make_photos(folder)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        with running(folder / "open") as server:
            times(browser, server, photos)
            if "--times" in sys.argv:
                return 0
            states(browser, server, photos)
        keys = folder / "keys.json"
        create_key(keys, user="console")
        with running(folder / "signed", "--keys", str(keys)) as server:
            shoot(browser, server, "sign-in", viewport=LAPTOP)
            shoot(browser, server, "sign-in-phone-dark", viewport=PHONE, color_scheme="dark")
        browser.close()
    print(f"{len(list(OUT.glob('*.png')))} pictures in {OUT}/")
    return 0


def make_photos(folder: Path) -> dict[str, Path]:
    samples = packs.samples()

    def save(name: str, image: Image.Image) -> Path:
        image.save(folder / f"{name}.jpg", quality=92)
        return folder / f"{name}.jpg"

    person = Image.open(samples["obama.jpg"]).convert("RGB")
    tiny = Image.new("RGB", (1920, 1080), (70, 90, 110))
    face = person.crop((330, 20, 690, 440)).resize((60, 70))
    for at in range(24):
        tiny.paste(face, (60 + (at % 8) * 230, 120 + (at // 8) * 300))
    tall = Image.new("RGB", (500, 3000), (60, 70, 60))
    wide = Image.new("RGB", (4000, 400), (60, 60, 80))
    for at, place in enumerate(((100, 200), (60, 1500), (180, 2500))):
        tall.paste(person.crop((330, 20, 690, 440)).resize((240 - 30 * at, 280 - 35 * at)), place)
    for at in range(5):
        wide.paste(person.crop((330, 20, 690, 440)).resize((240, 280)), (150 + at * 780, 60))
    return {
        "obama": samples["obama.jpg"],
        "obama2": samples["obama2.jpg"],
        "biden": samples["biden.jpg"],
        "crowd": save("crowd", crowd(samples)),
        "tiny": save("tiny", tiny),
        "tall": save("tall", tall),
        "wide": save("wide", wide),
        "no-face": save("no-face", Image.new("RGB", (640, 480), (90, 140, 200))),
        "arabic": save("صورة عائلية", person),
    }


@contextmanager
def running(folder: Path, *flags: str) -> Iterator[Served]:
    folder.mkdir()
    process: subprocess.Popen[bytes]
    process, server = start_server(folder, *flags)
    try:
        yield server
    finally:
        process.terminate()
        assert exit_code(process, server.folder / "stderr") == 0


def put(page: Any, side: str, *paths: Path) -> None:
    page.locator(f"[data-side={side}] input[type=file]").first.set_input_files([str(path) for path in paths])


def shoot(browser: Any, server: Served, name: str, *targets: Path, source: Path | None = None, **options: Any) -> None:
    """One picture: of the page as it opens, or with a source and its target, or targets."""
    until_ = options.pop("until", ANSWERED)
    act = options.pop("act", None)
    context = browser.new_context(**options)
    page = context.new_page()
    page.goto(server.url)
    until(page, "document.getElementById('access').textContent !== ''")
    if source is not None:
        put(page, "source", source)
        put(page, "target", *targets)
        until(page, until_, 60)
        if until_ == ANSWERED:
            until(page, DESCRIBED)
    if act is not None:
        act(page)
    page.wait_for_timeout(300)
    page.screenshot(path=OUT / f"{name}.png", full_page=True)
    context.close()


def states(browser: Any, server: Served, photos: dict[str, Path]) -> None:
    pair = {"source": photos["obama"]}
    shoot(browser, server, "empty", viewport=LAPTOP)
    shoot(browser, server, "empty-phone-dark", viewport=PHONE, color_scheme="dark")
    for scheme in ("light", "dark"):
        for size, viewport in (("wide", WIDE), ("laptop", LAPTOP), ("phone", PHONE)):
            shoot(
                browser,
                server,
                f"pair-{size}-{scheme}",
                photos["obama2"],
                **pair,
                viewport=viewport,
                color_scheme=scheme,
            )
    shoot(browser, server, "pair-forced-colours", photos["biden"], **pair, viewport=LAPTOP, forced_colors="active")
    shoot(browser, server, "no-match-dark", photos["biden"], **pair, viewport=LAPTOP, color_scheme="dark")
    shoot(
        browser,
        server,
        "pair-right-to-left",
        photos["obama2"],
        source=photos["arabic"],
        viewport=LAPTOP,
        locale="ar-EG",
    )
    for name in ("crowd", "tiny", "tall", "wide"):
        for size, viewport in (("laptop", LAPTOP), ("phone", PHONE)):
            shoot(browser, server, f"{name}-{size}", photos[name], **pair, viewport=viewport)
    shoot(browser, server, "crowd-wide-dark", photos["crowd"], **pair, viewport=WIDE, color_scheme="dark")
    shoot(browser, server, "source-face", photos["obama2"], **pair, viewport=LAPTOP,
          act=lambda page: page.locator("[data-side=source] .face").click())  # fmt: skip
    shoot(browser, server, "code-curl", photos["obama2"], **pair, viewport=PHONE,
          act=lambda page: page.get_by_role("radio", name="curl").check())  # fmt: skip
    for width in (961, 1100, 1440):
        shoot(browser, server, f"pair-{width}", photos["obama2"], **pair, viewport={"width": width, "height": 800})
    failed = "document.querySelector('.problem p.small')"
    shoot(browser, server, "no-face", photos["no-face"], **pair, viewport=LAPTOP, until=failed)
    shoot(
        browser,
        server,
        "no-face-phone-dark",
        photos["no-face"],
        **pair,
        viewport=PHONE,
        color_scheme="dark",
        until=failed,
    )
    done = "document.getElementById('many-status').textContent.startsWith('Done')"
    many = [photos[name] for name in ("obama", "obama2", "biden", "crowd", "tiny", "tall", "wide", "no-face", "arabic")]
    shoot(browser, server, "many", *many, **pair, viewport=LAPTOP, until=done)
    shoot(browser, server, "many-phone-dark", *many, **pair, viewport=PHONE, color_scheme="dark", until=done)


def times(browser: Any, server: Served, photos: dict[str, Path]) -> None:
    context = browser.new_context(viewport=LAPTOP)
    page = context.new_page()
    page.add_init_script(WATCH_DRAWING)
    page.goto(server.url)
    until(page, "document.getElementById('access').textContent !== ''")
    paints = []
    for _ in range(9):
        page.goto(server.url)
        paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
        until(page, f"{paint} > 0")
        paints.append(page.evaluate(paint))
    print(f"first paint, page cached by ETag: {statistics.median(paints):.0f} ms")
    for name in ("obama2", "crowd"):
        drawn = []
        for _ in range(9):
            page.goto(server.url)
            until(page, "document.getElementById('access').textContent !== ''")
            put(page, "source", photos["obama"])
            put(page, "target", photos[name])
            until(page, "globalThis.drawnMs !== undefined", 60)
            drawn.append(float(page.evaluate("drawnMs")))
        faces = page.locator("#faces tbody tr").count()
        print(f"answer with {faces} faces drawn after it arrived: {statistics.median(drawn):.0f} ms")
    context.close()


if __name__ == "__main__":
    sys.exit(main())
