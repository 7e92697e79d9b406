"""The pages of `--report` in a real browser, and the decisions on their way back."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from tests.batch.conftest import likeness

from likeness.batch.errors import BatchError
from likeness.batch.review import report
from likeness.batch.review.report import About, ReviewedPair, Side, write_report
from likeness.cli.main import main
from likeness.faces import BoundingBox, Face, Pose, Quality
from likeness.vision.calibration import Calibration

CALIBRATION = Calibration((0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0), (-0.5, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0), 0.01, -6.0)
ABOUT = About("Review of x.jsonl", "standard 1", 80.0, CALIBRATION, 9)


def face(*, sharpness: float = 90.0) -> Face:
    return Face(BoundingBox(0.1, 0.1, 0.1, 0.1), 99.0, (), Pose(0.0, 0.0, 0.0), Quality(60.0, sharpness))


def pair(name: str, similarity: float = 79.0, **of_face: float) -> ReviewedPair:
    return ReviewedPair(Side(name, face(**of_face), b"\xff\xd8"), Side("b.jpg", face(), None), similarity)


def test_what_is_in_names_is_text_and_nothing_else(tmp_path: Path) -> None:
    (page,) = write_report(tmp_path / "r.html", [pair('<img src=x onerror="alert(1)">&{{SCRIPT}}.jpg')], 1, ABOUT)
    text = page.read_text("utf-8")
    assert "<img src=x" not in text
    assert "&lt;img src=x" in text
    assert text.count('"use strict"') == 1


def test_more_than_500_pairs_are_a_folder_of_pages(tmp_path: Path) -> None:
    pages = write_report(tmp_path / "r.html", (pair(f"{n}.jpg") for n in range(1001)), 1001, ABOUT)
    assert [page.relative_to(tmp_path).as_posix() for page in pages] == [
        "r/index.html",
        "r/page-2.html",
        "r/page-3.html",
    ]
    counts = [page.read_text("utf-8").count('class="pair"') for page in pages]
    assert counts == [report.PAIRS_A_PAGE, report.PAIRS_A_PAGE, 1]
    assert 'id="pair-1001"' in pages[2].read_text("utf-8")


def test_no_rate_is_reported_beyond_the_data(tmp_path: Path) -> None:
    (page,) = write_report(tmp_path / "r.html", [pair("a.jpg")], 1, ABOUT)
    text = page.read_text("utf-8")
    assert "Threshold 80: reached by 1 in 1,000 pairs of different people." in text
    assert CALIBRATION.claim(100.0).of_pairs.startswith("rarer than 1 in ")


def test_a_place_for_pages_is_checked_before_the_work(tmp_path: Path) -> None:
    folder, loop = tmp_path / "folder.html", tmp_path / "loop.html"
    folder.mkdir()
    loop.symlink_to(loop)
    for path, said in ((folder, "it is a folder"), (loop, "symbolic links"), (tmp_path / "x" / "a.html", "no folder")):
        with pytest.raises(BatchError, match=said):
            report.check_report(path)


def test_a_page_replaces_no_decisions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decisions, output = tmp_path / "decisions.html", tmp_path / "out.jsonl"
    decisions.write_text("source,target,decision,note\n", "utf-8")
    words = ["batch", str(tmp_path / "pairs.csv"), "--output", str(output), "--decisions", str(decisions)]
    assert main([*words, "--report", str(decisions)]) == 255
    assert capsys.readouterr().err == f"likeness: {decisions}: the command already uses this file; choose another\n"
    assert not output.with_name("out.jsonl.run").exists()


@pytest.mark.engine
def test_decisions_are_made_by_keys_exported_and_read_back(work: Path, browser: Any) -> None:
    out, page_file = work / "out.jsonl", work / "review.html"
    arguments = ("batch", work / "pairs.csv", "--output", out)
    likeness(*arguments, "--report", page_file)
    records = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    compared = [each for each in records if each["error"] is None]
    context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True, accept_downloads=True)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(page_file.as_uri())
    assert page.locator(".pair").count() == len(compared)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.get_by_text("A decision about a person needs a person.").is_visible()
    assert page.evaluate("[...document.images].every((each) => each.complete && each.naturalWidth === 192)")
    page.keyboard.press("j")
    page.keyboard.press("a")
    page.keyboard.press("r")
    page.keyboard.press("n")
    page.keyboard.type('an "odd", one')
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    assert page.locator("#count").inner_text() == f"{len(compared)} shown, 3 of {len(compared)} decided"
    page.get_by_label("Show").select_option("open")
    assert page.locator(".pair:visible").count() == len(compared) - 3
    page.reload()
    assert page.locator("input:checked").count() == 3
    with page.expect_download() as download:
        page.get_by_role("button", name="Export decisions").click()
    download.value.save_as(work / "decisions.csv")
    assert said == []
    with (work / "decisions.csv").open(newline="", encoding="utf-8") as file:
        decisions = list(csv.DictReader(file))
    doubts = sorted(compared, key=lambda each: abs(each["similarity"] - 80))
    assert [(each["source"], each["target"]) for each in decisions] == [
        (each["source"], each["target"]) for each in doubts[:3]
    ]
    assert "3 pairs decided" in likeness(*arguments, "--decisions", work / "decisions.csv").stderr
    decided = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    made = {(each["source"], each["target"]): (each["decision"], each["note"]) for each in decided if each["decision"]}
    expected = [("accept", ""), ("reject", ""), ("defer", 'an "odd", one')]
    assert made == {
        (each["source"], each["target"]): outcome for each, outcome in zip(doubts[:3], expected, strict=True)
    }
    assert [{**each, "decision": 0, "note": 0} for each in records] == [
        {**each, "decision": 0, "note": 0} for each in decided
    ]


@pytest.mark.engine
def test_a_page_speaks_to_screen_readers(work: Path, browser: Any) -> None:
    likeness("batch", work / "pairs.csv", "--output", work / "out.jsonl", "--report", work / "review.html")
    page = browser.new_page()
    page.goto((work / "review.html").as_uri())
    first = page.get_by_role("listitem", name="Pair 1:")
    assert first.get_by_role("img").count() == 2
    assert first.get_by_role("group", name="Decision").get_by_role("radio").count() == 3
    assert first.get_by_role("textbox", name="Note").is_visible()
    assert page.get_by_role("link", name="Skip to the pairs").count() == 1
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("html[lang=en]").count() == 1


@pytest.mark.engine
def test_decisions_about_other_pairs_are_refused(work: Path) -> None:
    arguments = ("batch", work / "pairs.csv", "--output", work / "out.jsonl")
    for text, said in (
        ("source,target,decision,note\nx,y,accept,\n", "decides about x and y"),
        ("source,target,decision,note\nx,y,perhaps,\n", "'perhaps' is not one of"),
        ("source,target\nx,y\n", "no column decision, note"),
    ):
        (work / "d.csv").write_text(text, "utf-8")
        done = likeness(*arguments, "--decisions", work / "d.csv", check=False)
        assert done.returncode == 255
        assert said in done.stderr


@pytest.mark.parametrize(
    ("option", "file", "reason"),
    [
        ("--decisions", "none.csv", "cannot be read: No such file or directory"),
        ("--report", "review.txt", "a report must be a .html file"),
        ("--report", "none/review.html", "there is no folder "),
    ],
)
def test_a_review_that_would_fail_is_refused_before_the_run(work: Path, option: str, file: str, reason: str) -> None:
    refused = likeness("batch", work / "pairs.csv", "--output", work / "out.csv", option, work / file, check=False)
    assert refused.returncode == 255
    assert f"{work / file}" in refused.stderr
    assert reason in refused.stderr
    assert not list(work.glob("out.csv*"))
