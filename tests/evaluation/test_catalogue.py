"""Each calibrated pack of the catalogue keeps the promise of Similarity: the same rate under every pack."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from likeness import packs
from likeness.comparer import Comparer
from likeness.evaluation.labelled import label_faces
from likeness.evaluation.photo_table import read_either
from likeness.packs import store

CALIBRATED = sorted(name for name, entry in store.catalogue().items() if entry.calibration is not None)
MODELS = (
    Path(os.environ.get("LIKENESS_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")).parent / "models"
)
#: The rate promised at a Similarity, and the least and highest that a mean of cells may have: as for the cells of the
#: standard pack in test_standard_pack.py.
PROMISED = [(80.0, 1e-3, 0.5e-3, 2e-3), (90.0, 1e-4, 0.0, 4e-4)]


def test_the_catalogue_has_calibrated_packs() -> None:
    assert {"standard", "yunet-retail"} <= set(CALIBRATED)


@pytest.mark.parametrize("name", CALIBRATED)
@pytest.mark.parametrize(("level", "promised", "_least", "_most"), PROMISED)
def test_the_curve_is_of_pairs_of_one_origin_and_sex(
    name: str, level: float, promised: float, _least: float, _most: float
) -> None:
    entry = store.known(name)
    measured = [row for row in entry.accuracy if row.measure == f"FMR at {level:.0f}"]
    mean, *cells = sorted(measured, key=lambda row: row.data != "mean of cells")
    assert mean.value == pytest.approx(promised, rel=0.05)
    assert len(cells) == 10
    assert np.mean([cell.value for cell in cells]) == pytest.approx(mean.value, rel=1e-3)
    assert all("--within group,sex" in row.command for row in measured)


@pytest.mark.data
@pytest.mark.engine
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CALIBRATED)
def test_rates_within_cells_are_those_promised(
    name: str, standard_pack: None, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third of the photos of people-dev: some 75,000 pairs of different people of one origin and sex."""
    if any(file.source and file.source.file for file in store.known(name).files.values()):
        if not MODELS.is_dir():
            pytest.skip(f"the networks of {name} are not on this machine")
        monkeypatch.setenv("LIKENESS_HOME", str(tmp_path / "home"))
        packs.install(name, source_dir=MODELS)
    table = third_of(data_dir / "people-dev" / "people.csv", tmp_path / "people.csv")
    with Comparer(name) as comparer:
        faces = label_faces(comparer, table, read_either(table), ["group", "sex"])
        rates = {}
        for cell in np.unique(faces.cells):
            (inside,) = np.nonzero(faces.cells == cell)
            first, second = (inside[places] for places in np.triu_indices(len(inside), k=1))
            similarities = comparer.similarities(faces.vectors, first, second)
            rates[cell] = [float(np.mean(similarities >= level)) for level, *_ in PROMISED]
    assert len(rates) == 10
    for place, (level, _, least, most) in enumerate(PROMISED):
        mean = np.mean([rate[place] for rate in rates.values()])
        assert least <= mean <= most, (name, level, mean)


def third_of(table: Path, path: Path) -> Path:
    """Every third photo whose group and sex are known, as a table at `path`."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["group"] and row["sex"]]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "image": str(table.parent / row["image"])} for row in rows[::3])
    return path
