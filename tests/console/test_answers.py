"""What the console draws of an answer, and how a person moves through it."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from likeness.comparer import Comparer

from .conftest import WATCH_DRAWING, Served, crowd, until
from .page import DESKTOP, PHONE, Files, Open, answered, compare, count_requests, drawn_boxes, drop, is_post, put

pytestmark = pytest.mark.engine


@pytest.mark.parametrize(
    ("target", "viewport"),
    [
        ("again", DESKTOP),
        ("turned", DESKTOP),
        ("turned", PHONE),
        ("turned-png", DESKTOP),
        ("crowd", DESKTOP),
        ("crowd", PHONE),
    ],
)
def test_boxes_are_drawn_where_the_api_says(
    server: Served,
    open_page: Open,
    photo_files: Files,
    comparer: Comparer,
    portraits: Files,
    tmp_path: Path,
    target: str,
    viewport: Any,
) -> None:
    photo = photo_files.get(target) or tmp_path / "crowd.jpg"
    if target == "crowd":
        crowd(portraits, rows=3, columns=4).save(photo, quality=90)
    page = open_page(server.url, viewport=viewport)
    drop(page, "source", photo_files["person"])
    drop(page, "target", photo)
    answered(page)
    answer = comparer.compare(photo_files["person"], photo, similarity_threshold=0).to_dict()
    found = {
        "source": [answer["SourceImageFace"]["BoundingBox"]],
        "target": [each["Face"]["BoundingBox"] for each in answer["FaceMatches"]],
    }
    for side, boxes in found.items():
        drawn = drawn_boxes(page, side)
        assert len(drawn) == len(boxes)
        for ours, theirs in zip(drawn, boxes, strict=True):
            assert ours == pytest.approx(theirs, abs=0.003)
    shape = page.evaluate("(() => { const r = document.querySelector('[data-side=target] img').getBoundingClientRect();"
                          " return r.width / r.height; })()")  # fmt: skip
    photo_shape = page.evaluate(
        "getComputedStyle(document.querySelector('[data-side=target] .frame')).getPropertyValue('--ratio')"
    )
    assert shape == pytest.approx(float(photo_shape), rel=0.02)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    rows = page.locator("#faces tbody tr").all_inner_texts()
    assert len(rows) == len(found["target"])
    shown = [float(row.split("\t")[2]) for row in rows]
    assert shown == pytest.approx([each["Similarity"] for each in answer["FaceMatches"]], abs=0.0101)


def test_the_threshold_moves_without_a_request(
    server: Served, open_page: Open, photo_files: Files, portraits: Files, tmp_path: Path
) -> None:
    picture = tmp_path / "crowd.png"
    crowd(portraits, rows=1, columns=3).save(picture)
    page = open_page(server.url)
    sent = count_requests(page)
    compare(page, photo_files["person"], picture)
    until(page, "document.querySelector('[data-side=source] .marks .points').getAttribute('d') !== ''")
    assert [json.loads(each.post_data)["SimilarityThreshold"] for each in sent] == [0, 0]  # the pair, the source alone
    kinds = "[...document.querySelectorAll('[data-side=target] .face')].map((each) => each.dataset.kind)"
    assert page.evaluate(kinds) == ["match", "match", "other"]
    assert page.locator("#joins path").first.get_attribute("d").count("M") == 2
    page.fill("#threshold", "0")
    assert page.evaluate(kinds) == ["match"] * 3
    slider = page.locator("#scale input")
    slider.focus()
    page.keyboard.press("End")
    assert page.locator("#threshold").input_value() == "100"
    assert page.evaluate(kinds) == ["other"] * 3
    assert page.locator("#faces .verdict").all_inner_texts() == ["✕ no match"] * 3
    assert "rarer than" in page.locator("#threshold-rate").inner_text()
    page.get_by_role("radio", name="Answer").check()
    assert json.loads(page.locator("#code-text").inner_text())["FaceMatches"] == []
    assert len(sent) == 2
    with page.expect_request(is_post) as third:
        page.select_option("#filter", "HIGH")
    assert json.loads(third.value.post_data)["QualityFilter"] == "HIGH"


def test_faces_and_rows_are_chosen_together_by_keyboard(
    server: Served, open_page: Open, photo_files: Files, portraits: Files, tmp_path: Path
) -> None:
    picture = tmp_path / "crowd.png"
    crowd(portraits, rows=1, columns=3).save(picture)
    page = open_page(server.url)
    compare(page, photo_files["person"], picture)
    faces = page.locator("[data-side=target] .face")
    faces.first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Face 2: ")
    assert page.locator("#faces tr:has(:checked) th").inner_text() == "2"
    assert page.locator("#face h2").inner_text() == "Face 2"
    page.locator("#faces tr:has(:checked) input").focus()
    page.keyboard.press("ArrowDown")
    assert faces.nth(2).is_checked()
    assert page.locator(".face:checked").count() == 1
    faces.nth(2).focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Source face"
    assert page.locator("#face h2").inner_text() == "Source face"
    page.locator("#face .features").wait_for()


def test_details_of_the_source_leave_focus_and_selection(server: Served, open_page: Open, photo_files: Files) -> None:
    page = open_page(server.url)
    held: list[Any] = []

    def hold_the_second(route: Any) -> None:
        if route.request.method != "POST" or not held:
            if route.request.method == "POST":
                held.append(None)
            route.continue_()
        else:
            held.append(route)

    page.route("**/*", hold_the_second)
    compare(page, photo_files["person"], photo_files["again"])
    while len(held) < 2:
        page.wait_for_timeout(20)
    page.locator("[data-side=source] .face").focus()
    page.keyboard.press("Space")
    page.get_by_role("radio", name="Answer").check()
    page.evaluate("getSelection().selectAllChildren(document.getElementById('code-text'))")
    page.locator("[data-side=source] .face").focus()
    assert page.locator("#face .features").count() == 0
    held[1].continue_()
    page.locator("#face .features").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Source face"
    assert page.locator("[data-side=source] .face").is_checked()
    assert "FaceMatches" in page.evaluate("getSelection().toString()")


def test_everything_can_be_reached_with_the_tab_key(server: Served, open_page: Open, photo_files: Files) -> None:
    page = open_page(server.url)
    compare(page, photo_files["person"], photo_files["again"])
    reached = set()
    named = (
        "(each) => each.id || each.className || (each.type === 'radio' && each.name) || each.labels?.[0]?.textContent"
    )
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(f"({named})(document.activeElement)"))
    wanted = {
        "threshold",
        "filter",
        "face",
        "row",
        "copy",
        "code",
        "Choose the source photo",
        "Choose a folder",
    }
    assert wanted <= reached


def test_a_target_whose_faces_the_filter_drops_has_no_similarity(
    server: Served, open_page: Open, photo_files: Files
) -> None:
    box = {"Left": 0.25, "Top": 0.25, "Width": 0.5, "Height": 0.5}
    answer = {"SourceImageFace": {"BoundingBox": box, "Confidence": 99.0}, "FaceMatches": [], "UnmatchedFaces": []}
    page = open_page(server.url)
    page.route(
        "**/*", lambda route: route.fulfill(json=answer) if route.request.method == "POST" else route.continue_()
    )
    compare(page, photo_files["person"], photo_files["again"])
    assert page.locator("#status").inner_text() == "Faces compared: 0; matches: 0."
    assert page.locator("#face h2").inner_text() == "Source face"
    put(page, "target", photo_files["again"], photo_files["other"])
    page.locator("#many-status", has_text="Done: 2 of 2").wait_for()
    assert page.locator("#many-grid .outcome").all_inner_texts() == ["no face passes the filter"] * 2


def test_a_hundred_faces_are_drawn_in_few_layouts(
    server: Served, open_page: Open, photo_files: Files, portraits: Files, tmp_path: Path
) -> None:
    picture = tmp_path / "crowd.jpg"
    crowd(portraits).save(picture, quality=92)
    page = open_page(server.url)
    page.add_init_script(WATCH_DRAWING)
    page.reload()
    until(page, "document.getElementById('access').textContent !== ''")
    browser = page.context.new_cdp_session(page)
    browser.send("Performance.enable")

    def layouts() -> float:
        metrics = browser.send("Performance.getMetrics")["metrics"]
        return next(float(each["value"]) for each in metrics if each["name"] == "LayoutCount")

    held: list[Any] = []
    page.route("**/*", lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
    put(page, "source", photo_files["person"])
    put(page, "target", picture)
    end = time.monotonic() + 60
    while not held:
        assert time.monotonic() < end
        page.wait_for_timeout(20)
    page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    before = layouts()
    held[0].continue_()
    until(page, "globalThis.drawnMs !== undefined", 60)
    faces = page.locator("[data-side=target] .face").count()
    assert faces >= 90
    # One for each frame: a layout forced for each face, row or label would make a hundred.
    assert layouts() - before <= 8
    for route in held[1:]:
        route.continue_()
