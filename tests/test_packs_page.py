"""docs/packs.md: each of its commands is run, in its order, and its policy is one."""

import csv
import json
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.authoring import shaped

from likeness import packs
from likeness.aws.keys import load_keys
from likeness.aws.policy import Policy
from likeness.cli import evaluate
from likeness.cli.main import main
from likeness.evaluation import labelled
from likeness.evaluation.embeddings import Embeddings
from likeness.packs import store
from likeness.packs.manifest import read_manifest
from likeness.vision.embedding import unit

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = (REPOSITORY / "docs" / "packs.md").read_text("utf-8")
#: Runs last, as the others need what it removes.
REMOVAL = ["packs", "remove", "standard"]
PEOPLE = 400


def blocks(language: str) -> list[str]:
    """The page's blocks of code in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """The words of the commands in the page's blocks, without `likeness` and comments."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("likeness ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def policy() -> str:
    [text] = blocks("json")
    return text


@pytest.fixture
def folder(tmp_path: Path, standard_pack: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a reader types the commands, with a home and keys of its own."""
    shutil.copytree(store.home() / "packs", tmp_path / "home" / "packs")
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("LIKENESS_PACK", raising=False)
    reader = tmp_path / "reader"
    reader.mkdir()
    (reader / "policy.json").write_text(policy(), "utf-8")
    monkeypatch.chdir(reader)
    return reader


@pytest.fixture
def drawn_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors as a good network would make them, in place of photos: those of one person differ little.

    People differ in fewer dimensions than a vector has; in all of them, 800 photos would say too little of where people
    are, and nearly every vector drawn for the cohort would be too near to one of them.
    """
    generator = np.random.default_rng(4)
    persons, network = generator.standard_normal((PEOPLE, 64)), generator.standard_normal((64, 192))

    def embed(_: Any, photos: Sequence[Path], **__: Any) -> Embeddings:
        noise = np.random.default_rng(5).standard_normal((len(photos), 64))
        shown = persons[[int(photo.stem.split("-")[0]) for photo in photos]] + 0.1 * noise
        return Embeddings(unit(shown @ network), {})

    monkeypatch.setattr(labelled, "embed_photos", embed)
    monkeypatch.setattr(evaluate, "embed_photos", embed)


def write_table(path: Path, rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["image", "person", "group", "sex"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def drawn_rows() -> Iterator[dict[str, str]]:
    for person in range(PEOPLE):
        for photo in (1, 2):
            yield {"image": f"{person}-{photo}.jpg", "person": str(person), "group": "a", "sex": "fm"[person % 2]}


@pytest.mark.engine
def test_the_commands_of_the_page_run_in_its_order(
    folder: Path, drawn_vectors: None, capsys: pytest.CaptureFixture[str]
) -> None:
    standard = packs.load("standard").manifest.folder
    assert standard is not None
    shutil.copy(standard / "yunet.onnx", folder / "detector.onnx")
    shaped.embedder(standard / "mobilefacenet.onnx", folder / "embedder.onnx", colour="rgb", mean=127.5, scale=127.5)
    write_table(folder / "people.csv", list(drawn_rows()))
    write_table(folder / "others.csv", list(drawn_rows())[:100])
    ran = commands()
    assert REMOVAL in ran
    for words in sorted(ran, key=lambda words: words == REMOVAL):
        if "--from" in words:  # the folder of a machine without a network; the pack is installed
            words = [word for word in words if word not in ("--from", "/media/files")]
        assert main(words) == 0, words
    assert {words[0] for words in ran} == {"packs", "calibrate", "evaluate", "keys"}
    assert {"new", "check", "list", "show", "install", "verify", "remove"} <= {words[1] for words in ran}
    assert "chosen" in capsys.readouterr().out
    assert read_manifest(folder / "mine").calibration is not None
    assert not store.is_installed(store.known("standard"))
    [key] = load_keys(folder.parent / "config" / "likeness" / "keys.json").values()
    assert key.policies


@pytest.mark.data
@pytest.mark.engine
@pytest.mark.timeout(900)
def test_published_networks_become_a_calibrated_pack_by_the_same_commands(
    folder: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = data_dir.parent / "models"
    if not models.is_dir():
        pytest.skip("the reference networks are not on this machine")
    shutil.copy(models / "face_detection_yunet_2023mar.onnx", folder / "detector.onnx")
    shutil.copy(models / "face-reidentification-retail-0095.onnx", folder / "embedder.onnx")
    people, others = few_people(data_dir / "people-dev")
    write_table(folder / "people.csv", people)
    write_table(folder / "others.csv", others)
    for words in [words for words in commands() if "mine" in words]:
        assert main(words) == 0, words
    printed = capsys.readouterr().out
    calibration = read_manifest(folder / "mine").calibration
    assert calibration is not None
    assert 0.0 < calibration.equal_error_rate < 0.1
    assert "False match rate at 80 by cell" in printed
    assert "Pairs of different people within each cell" in printed


def few_people(data: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Just enough of people-dev for `calibrate`: 390 people in each of two cells, and some with several photos in no
    group; and 30 other people of each cell.
    """
    with (data / "people.csv").open(newline="", encoding="utf-8") as file:
        rows = [{**row, "image": str(data / row["image"])} for row in csv.DictReader(file)]
    people, others = [row | {"group": ""} for row in rows if "/images/a/" in row["image"]][:40], []
    for sex in "fm":
        cell = [row for row in rows if (row["group"], row["sex"]) == ("white", sex)]
        people += cell[:390]
        others += cell[390:420]
    return people, others


def test_the_policy_of_the_page_is_a_whole_one() -> None:
    loaded = Policy.load(json.loads(policy()))
    assert loaded
    assert ["keys", "create", "--name", "trial", "--policy", "policy.json"] in commands()
