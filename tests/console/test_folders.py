"""One photo compared with all photos of a folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Served, until
from .page import Files, Open, answered, put

pytestmark = pytest.mark.engine


def test_a_folder_is_sorted_stopped_and_exported(
    serve: Callable[..., Served], server: Served, open_page: Open, photo_files: Files, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("again", "other", "no-face", "person", "gif"):
        (folder / photo_files[name].name).write_bytes(photo_files[name].read_bytes())
    page = open_page(server.url)
    put(page, "source", photo_files["person"])
    page.locator("[data-side=target] input[webkitdirectory]").set_input_files(str(folder))
    page.locator("#many-status", has_text="Done: 5 of 5").wait_for(timeout=60_000)
    names = page.locator("#many-grid bdi").all_inner_texts()
    assert [name.rpartition("/")[2] for name in names][:3] == ["person.jpg", "again.jpg", "other.png"]
    outcomes = page.locator("#many-grid .outcome").all_inner_texts()
    assert outcomes[0].startswith("100 ✓ match")
    assert "✕ no match" in outcomes[2]
    assert "No face was found in the target photo (InvalidParameterException)" in outcomes
    assert sum("InvalidParameterException" in each or "InvalidImageFormatException" in each for each in outcomes) == 2
    with page.expect_download() as download:
        page.click("#many-csv")
    table = Path(download.value.path()).read_text().splitlines()
    assert table[0].startswith("photo,similarity,false match rate")
    assert len(table) == 6
    page.locator("#many-grid button").nth(1).click()
    answered(page)
    assert page.locator("[data-side=target] bdi").inner_text().endswith("again.jpg")


def test_a_dropped_folder_is_compared(server: Served, open_page: Open, photo_files: Files, tmp_path: Path) -> None:
    inner = tmp_path / "album" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "album" / "again.jpg").write_bytes(photo_files["again"].read_bytes())
    (inner / "person.jpg").write_bytes(photo_files["person"].read_bytes())
    page = open_page(server.url)
    put(page, "source", photo_files["person"])
    place = page.locator("[data-side=target]").bounding_box()
    browser = page.context.new_cdp_session(page)
    dragged = {"items": [], "files": [str(tmp_path / "album")], "dragOperationsMask": 1}
    for event in ("dragEnter", "dragOver", "drop"):
        browser.send(
            "Input.dispatchDragEvent", {"type": event, "x": place["x"] + 20, "y": place["y"] + 20, "data": dragged}
        )
    page.locator("#many-status", has_text="Done: 2 of 2").wait_for(timeout=60_000)
    assert page.locator("#many-grid bdi").all_inner_texts() == ["album/inner/person.jpg", "album/again.jpg"]


def test_a_busy_server_is_retried_and_a_run_can_be_stopped(
    serve: Callable[..., Served], open_page: Open, photo_files: Files
) -> None:
    slow = serve("--rate-per-second", "0.5", "--rate-burst", "1")
    page = open_page(slow.url)
    put(page, "source", photo_files["person"])
    put(
        page, "target", *[photo_files[name] for name in ("person", "again", "other", "turned", "turned-png", "no-face")]
    )
    page.locator("#many-status", has_text="The server is busy: trying again").wait_for(timeout=60_000)
    until(page, "document.querySelectorAll('#many-grid li').length >= 2")
    page.click("#many-stop")
    page.locator("#many-status", has_text="Stopped").wait_for()
    assert page.locator("#many-grid li").count() < 6
