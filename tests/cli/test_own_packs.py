"""The options of the command for packs of one's own, and for devices."""

import json
from pathlib import Path

import onnxruntime
import pytest

from likeness.calibrated import UNCALIBRATED
from likeness.cli import compare_faces
from likeness.cli.main import main

BUILT = set(onnxruntime.get_available_providers())


@pytest.mark.engine
def test_the_command_marks_the_answer(
    own_pack: Path, portraits: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKENESS_PACK", str(own_pack))
    words = [f"--source-image-bytes=fileb://{portraits['obama.jpg']}"]
    words += [f"--target-image-bytes=fileb://{portraits['obama2.jpg']}", "--similarity-threshold", "0"]
    assert compare_faces.main(words) != 0
    assert "--uncalibrated" in capsys.readouterr().err
    assert compare_faces.main([*words, "--uncalibrated", "--explain"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["FaceMatches"]
    assert UNCALIBRATED in printed.err
    assert "at an unknown false match rate" in printed.err
    assert "1 in " not in printed.err


@pytest.mark.engine
@pytest.mark.skipif("CUDAExecutionProvider" in BUILT, reason="this ONNX Runtime has CUDA")
def test_the_command_refuses_a_missing_device(portraits: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    photo = portraits["obama.jpg"]
    words = ["--source-image-bytes", f"fileb://{photo}", "--target-image-bytes", f"fileb://{photo}", "--device", "cuda"]
    assert compare_faces.main(words) != 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "the device is cuda, but this ONNX Runtime" in printed.err
    assert "likeness[cuda]" in printed.err


def test_the_page_of_a_comparison_replaces_no_input(
    standard_pack: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, photo = tmp_path / "people.csv", tmp_path / "a.jpg"
    table.write_text("image,person\na.jpg,1\n", "utf-8")
    photo.touch()
    for page in (table, photo):
        words = ["packs", "compare", "standard", "standard", "--people", str(table), "--report", str(page)]
        assert main(words) == 255
        assert capsys.readouterr().err == f"likeness: {page}: the command already uses this file; choose another\n"
