"""One Similarity means one false match rate under every calibrated pack; others answer only if asked, and marked."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import numpy as np
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from numpy.typing import NDArray
from tests.listening import address_of, exit_code

import likeness
from likeness.batch.many import compare_many
from likeness.calibrated import Uncalibrated, calibration_of
from likeness.cli.main import main
from likeness.comparer import Comparer, ComparerSettings
from likeness.errors import PackInvalid
from likeness.evaluation.labelled import LabelledFaces
from likeness.evaluation.learning import calibrate
from likeness.evaluation.pack_data import Learned, write_pack_data
from likeness.packs.loaded import pack_folder
from likeness.packs.manifest import read_manifest
from likeness.vision.scoring import Scorer

ALLOWED = ComparerSettings(uncalibrated=True)


def faces(noise: float, seed: int, mixing: NDArray[np.float64]) -> LabelledFaces:
    """Vectors of 300 people, four each, as an embedder with this much `noise` and these directions gives them."""
    chance = np.random.default_rng(seed)
    people = np.repeat(np.arange(300), 4)
    identities = chance.normal(size=(300, mixing.shape[0]))
    vectors = identities[people] @ mixing + noise * chance.normal(size=(len(people), mixing.shape[1]))
    everywhere = np.full(len(people), "all")
    return LabelledFaces("made", vectors.astype(np.float32), people, everywhere, everywhere)


@pytest.mark.engine
def test_a_fixed_threshold_means_the_same_rate_whichever_pack_answers(own_pack: Path, tmp_path: Path) -> None:
    """Two embedders of unlike strength and spread, each calibrated on some people and judged on others."""
    rates = {}
    for name, noise, mixing in (
        ("strong", 0.4, np.random.default_rng(1).normal(size=(40, 192))),
        ("weak", 1.6, np.diag(np.linspace(0.3, 2.0, 192))[:60]),
    ):
        folder = tmp_path / name
        shutil.copytree(own_pack, folder)
        outcome = calibrate([faces(noise, 2, mixing)], keep=Scorer())
        write_pack_data(folder, Learned(outcome.calibration, outcome.cohort, (), "made", "likeness calibrate"))
        others = faces(noise, 3, mixing)
        first, second = np.triu_indices(len(others.vectors), 1)
        apart = others.people[first] != others.people[second]
        chosen = np.random.default_rng(4).choice(np.flatnonzero(apart), 300_000, replace=False)
        with Comparer(folder) as comparer:  # only the pack changes
            similarities = comparer.similarities(others.vectors, first[chosen], second[chosen])
        rates[name] = {threshold: float((similarities >= threshold).mean()) for threshold in (80.0, 90.0)}
    for promised, threshold in ((1e-3, 80.0), (1e-4, 90.0)):
        for name in rates:
            assert promised / 3 <= rates[name][threshold] <= promised * 3, rates


@pytest.mark.engine
def test_a_pack_without_a_calibration_answers_only_if_that_is_allowed(
    own_pack: Path, portraits: dict[str, Path]
) -> None:
    pair = portraits["obama.jpg"], portraits["obama2.jpg"]
    with (
        Comparer(own_pack) as comparer,
        pytest.raises(PackInvalid, match=r"calibrate.*ComparerSettings\(uncalibrated=True\)"),
    ):
        comparer.compare(*pair)
    with Comparer(own_pack, settings=ALLOWED) as comparer:
        comparer.warm_up()
        comparison = comparer.compare(*pair, similarity_threshold=0)
        a, b = (comparer.prepare(photo).vector for photo in pair)
        (pairs,) = compare_many([pair], comparer=comparer)
    assert not comparison.calibrated
    assert pairs.comparison is not None
    assert not pairs.comparison.calibrated
    cosine = float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert comparison.matches[0].similarity == pytest.approx(100 * cosine, abs=0.01)


@pytest.mark.engine
def test_the_standard_pack_is_not_marked_though_it_may_be_uncalibrated(portraits: dict[str, Path]) -> None:
    with Comparer(settings=ALLOWED) as comparer:
        assert comparer.compare(portraits["obama.jpg"], portraits["obama2.jpg"]).calibrated


def test_no_rate_is_claimed() -> None:
    calibration = Uncalibrated()
    assert math.isnan(float(calibration.false_match_rate(99.0)))
    claim = calibration.claim(99.0)
    for words in (claim.in_figures, claim.in_words, claim.of_pairs):
        assert "1 in" not in words
        assert "unknown" in words
    np.testing.assert_allclose(calibration.similarity([-0.5, 0.25, np.inf]), [0, 25, 100])


@pytest.mark.engine
def test_scores_that_are_no_cosines_are_not_shown_as_such(own_pack: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    shutil.copytree(own_pack, folder)
    text = (folder / "manifest.toml").read_text()
    (folder / "manifest.toml").write_text(f'{text}\n[scoring]\nmethod = "normalised"\n')
    with pytest.raises(PackInvalid, match="no \\[calibration\\]"):
        calibration_of(read_manifest(folder), allow_none=True)


@pytest.mark.engine
def test_a_calibration_is_for_networks_as_they_were_fed(
    standard_pack: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(pack_folder("standard"), tmp_path / "pack"))
    with Comparer(folder) as comparer:
        assert comparer.calibration.whom == "different people of the same origin and sex"
    path = folder / "manifest.toml"
    was = path.read_text("utf-8")
    path.write_text(was.replace('colour = "rgb"', 'colour = "bgr"'), "utf-8")
    with Comparer(folder) as comparer, pytest.raises(PackInvalid, match="calibrate again with `likeness calibrate"):
        _ = comparer.calibration
    assert main(["packs", "show", str(folder)]) == 0
    assert "1 in 1,000" not in capsys.readouterr().out
    assert main(["packs", "check", str(folder)]) != 0
    told = capsys.readouterr().err
    assert "[calibration] is for other networks, another input or another cohort" in told
    lines = [line for line in told.splitlines() if "[calibration]" not in line]
    assert all(line.endswith("then calibrate again") for line in lines)


@pytest.mark.engine
@pytest.mark.parametrize("how", ["pairs", "all pairs"])
def test_the_batch_marks_every_line(own_pack: Path, portraits: dict[str, Path], tmp_path: Path, how: str) -> None:
    output = tmp_path / "out.jsonl"
    (tmp_path / "pairs.csv").write_text(f"source,target\n{portraits['obama.jpg']},{portraits['obama2.jpg']}\n")
    for name in ("obama.jpg", "obama2.jpg"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        shutil.copy(portraits[name], tmp_path / "photos" / name)
    chosen = [str(tmp_path / "pairs.csv")] if how == "pairs" else ["--all-pairs", str(tmp_path / "photos")]
    words = [*chosen, "--output", str(output), "--pack", str(own_pack), "--similarity-threshold", "1"]
    assert main(["batch", *words]) != 0
    assert main(["batch", *words, "--uncalibrated"]) == 0
    (record,) = map(json.loads, output.read_text().splitlines())
    assert record["calibrated"] is False
    assert 30 < record["similarity"] < 95


@pytest.mark.engine
def test_the_client_and_the_server_mark_the_answer(own_pack: Path, portraits: dict[str, Path], tmp_path: Path) -> None:
    images = {
        "SourceImage": {"Bytes": portraits["obama.jpg"].read_bytes()},
        "TargetImage": {"Bytes": portraits["obama2.jpg"].read_bytes()},
    }
    answer = likeness.client(own_pack, settings=ALLOWED).compare_faces(**images)
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-likeness-uncalibrated"] == "true"
    command = [str(Path(sys.executable).with_name("likeness")), "serve", "--port", "0", "--auth", "none"]
    command += ["--pack", str(own_pack)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode == 78
    assert "--uncalibrated" in refused.stderr
    log = tmp_path / "stderr"
    with log.open("wb") as stream:
        server = subprocess.Popen([*command, "--uncalibrated"], stdout=subprocess.DEVNULL, stderr=stream)
    try:
        client = boto3.client(
            "rekognition",
            endpoint_url=address_of(server, log),
            region_name="us-east-1",
            config=Config(signature_version=UNSIGNED),
        )
        answer = client.compare_faces(**images)
    finally:
        server.terminate()
        assert exit_code(server, log) == 0
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-likeness-uncalibrated"] == "true"
