"""The results of a calibration → the files of a pack: the cohort, and the tables of its manifest."""

import hashlib
import io
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from likeness.errors import PackInvalid
from likeness.evaluation.cohort import NEAREST, Cohort
from likeness.packs.manifest import MANIFEST_NAME, Measurement, parse_manifest
from likeness.packs.tables import to_toml
from likeness.system.atomic_file import write_atomically
from likeness.vision.calibration import Calibration

#: The data file of a scoring in the catalogue; in a pack's folder its name has the beginning of its SHA-256 as well.
COHORT_FILE = "cohort.npy"
_COHORT_FILES = re.compile(r"cohort(-[0-9a-f]{12})?\.npy\Z")
_DRAWN = "Part of Likeness: drawn from a fitted mixture; holds no person's vector."
_FILE = re.compile(r"files\s*\.\s*[\"'](?P<file>[^\"']+)[\"']")
_TABLE = re.compile(r"\[\[?\s*(?P<name>[^\]]+?)\s*\]\]?\s*(#.*)?\Z")


@dataclass(frozen=True, slots=True)
class Learned:
    """The results to write; `cohort` is None if the pack keeps its scoring."""

    calibration: Calibration
    cohort: Cohort | None
    accuracy: Sequence[Measurement]
    measured_on: str
    command: str


def write_pack_data(target: Path, learned: Learned) -> list[Path]:
    """Writes the results into a pack; returns the files written.

    `target` is a pack's folder, or a description of the catalogue (NAME.toml), whose data files are in the folder NAME
    next to it. All other content is kept, including comments. A folder's [calibration] names the networks, input and
    cohort that it is for; those of a description are filled in by the installation. The description is replaced
    last, so that a pack is whole at any time. Raises PackInvalid if the description cannot be read, OSError if it
    cannot be written.
    """
    in_catalogue = target.suffix == ".toml"
    description = description_of(target)
    folder = target.with_suffix("") if in_catalogue else target
    old = description.read_text("utf-8")
    before = parse_manifest(old.encode(), described_as=str(description))
    tables: dict[str, Any] = {}
    data: dict[str, bytes] = {}
    if learned.cohort is not None:
        content = cohort_file(learned.cohort)
        name = COHORT_FILE if in_catalogue else f"cohort-{hashlib.sha256(content).hexdigest()[:12]}.npy"
        data = {name: content}
        tables |= _scoring_tables(learned, learned.cohort, data, bundled_in=folder.name if in_catalogue else None)
    tables |= _figures_tables(learned)
    old_cohorts = [name for name in before.files if _COHORT_FILES.match(name)]
    replacing = [*old_cohorts, before.scoring.files.get("cohort", "")] if data else []
    text = replaced(old, tables, files=replacing)
    manifest = parse_manifest(text.encode(), described_as=str(description))
    if not in_catalogue:
        tables["calibration"] |= manifest.score_identity
        text = replaced(old, tables, files=replacing)
    if data:
        folder.mkdir(exist_ok=True)
    for name, content in data.items():
        write_atomically(folder / name, content, mode=0o666)
    write_atomically(description, text.encode(), mode=0o666)
    _remove_unused(folder, manifest.files)
    return [description, *(folder / name for name in data)]


def _figures_tables(learned: Learned) -> dict[str, Any]:
    """The tables of the curve and of the accuracy."""
    curve = {key: _plain(value) for key, value in asdict(learned.calibration).items()}
    tables: dict[str, Any] = {"calibration": {**curve, "measured_on": learned.measured_on, "command": learned.command}}
    if learned.accuracy:
        tables["accuracy"] = [
            {key: value for key, value in msgspec.structs.asdict(row).items() if value not in (None, "")}
            for row in learned.accuracy
        ]
    return tables


def _remove_unused(folder: Path, used: Container[str]) -> None:
    """Removes cohorts of earlier calibrations, also of one that ended before its description was written."""
    for path in folder.glob("cohort*.npy"):
        if _COHORT_FILES.match(path.name) and path.name not in used:
            path.unlink()


def description_of(target: Path) -> Path:
    """The file that describes a pack, which is given as its folder or as a description of the catalogue (.toml).

    Raises PackInvalid if there is no such file.
    """
    description = target if target.suffix == ".toml" else target / MANIFEST_NAME
    if not description.is_file():
        raise PackInvalid(f"{target} is no pack: there is no file {description}")
    return description


def cohort_file(cohort: Cohort) -> bytes:
    """The cohort as a .npy file of int8."""
    buffer = io.BytesIO()
    np.save(buffer, cohort.vectors, allow_pickle=False)
    return buffer.getvalue()


def replaced(text: str, tables: Mapping[str, Any], *, files: Container[str] = ()) -> str:
    """The TOML `text` with these top-level tables replaced by new ones at its end.

    Of the table `files`, only those in `tables` are replaced, and those that `files` names left out.
    """
    kept: list[str] = []
    dropping = False
    for line in text.splitlines():
        header = _TABLE.match(line)
        if header:
            dropping = _is_replaced(header["name"], tables, files)
        if not dropping:
            kept.append(line)
    return "\n".join(kept).rstrip() + "\n\n" + to_toml(tables)


def _is_replaced(name: str, tables: Mapping[str, Any], files: Container[str]) -> bool:
    first = name.split(".", 1)[0].strip()
    if first == "files":
        # A bare [files] is empty, and may occur only once.
        named = _FILE.match(name)
        if named:
            return named["file"] in files or named["file"] in tables.get("files", {})
        return name == "files"
    return first in tables


def _scoring_tables(
    learned: Learned, cohort: Cohort, data: Mapping[str, bytes], *, bundled_in: str | None
) -> dict[str, Any]:
    files: dict[str, dict[str, Any]] = {}
    for name, content in data.items():
        sha256 = hashlib.sha256(content).hexdigest()
        files[name] = {
            "sha256": sha256,
            "size": len(content),
            "licence": "Apache-2.0",
            "licence_url": "https://www.apache.org/licenses/LICENSE-2.0",
            "terms": _DRAWN,
            "origin": f"{learned.command}, on {learned.measured_on}",
        }
        if bundled_in:
            files[name]["source"] = {"bundled": f"{bundled_in}/{name}", "sha256": sha256}
    table = {
        "method": "normalised",
        "nearest": NEAREST,
        # The cohort's cosines to the training faces are below this.
        "cosine_limit": round(cohort.cosine_limit, 4),
        "files": {"cohort": next(iter(data))},
    }
    return {"files": files, "scoring": table}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
