"""The results of a calibration → the files of a pack: the cohort, and the tables of its manifest."""

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from likeness.errors import PackInvalid
from likeness.evaluation.cohort import NEAREST, Cohort
from likeness.packs.manifest import MANIFEST_NAME, Measurement, parse_manifest
from likeness.packs.tables import to_toml
from likeness.vision.calibration import Calibration

#: The data file of a scoring.
COHORT_FILE = "cohort.npy"
_DRAWN = "Part of Likeness: drawn from a fitted mixture; holds no person's vector."
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
    next to it. All other content is kept, including comments. Raises PackInvalid if the description cannot be read,
    OSError if it cannot be written.
    """
    in_catalogue = target.suffix == ".toml"
    description = description_of(target)
    folder = target.with_suffix("") if in_catalogue else target
    tables: dict[str, Any] = {}
    data: dict[str, bytes] = {}
    if learned.cohort is not None:
        data = {COHORT_FILE: cohort_file(learned.cohort)}
        tables |= _scoring_tables(learned, learned.cohort, data, bundled_in=folder.name if in_catalogue else None)
    tables["calibration"] = {
        **{key: _plain(value) for key, value in asdict(learned.calibration).items()},
        "measured_on": learned.measured_on,
        "command": learned.command,
    }
    if learned.accuracy:
        tables["accuracy"] = [
            {key: value for key, value in msgspec.structs.asdict(row).items() if value not in (None, "")}
            for row in learned.accuracy
        ]
    text = replaced(description.read_text("utf-8"), tables)
    parse_manifest(text.encode(), described_as=str(description), folder=None if in_catalogue else folder)
    if data:
        folder.mkdir(exist_ok=True)
    for name, content in data.items():
        (folder / name).write_bytes(content)
    description.write_text(text, "utf-8")
    return [description, *(folder / name for name in data)]


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


def replaced(text: str, tables: Mapping[str, Any]) -> str:
    """The TOML `text` with these top-level tables replaced by new ones at its end.

    Of `files`, only those in `tables` are replaced.
    """
    kept: list[str] = []
    dropping = False
    for line in text.splitlines():
        header = _TABLE.match(line)
        if header:
            dropping = _is_replaced(header["name"], tables)
        if not dropping:
            kept.append(line)
    return "\n".join(kept).rstrip() + "\n\n" + to_toml(tables)


def _is_replaced(name: str, tables: Mapping[str, Any]) -> bool:
    first = name.split(".", 1)[0].strip()
    if first == "files":
        # A bare [files] is empty, and may occur only once.
        return name == "files" or any(name.startswith(f'files."{file}"') for file in tables.get("files", {}))
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
        "files": {"cohort": COHORT_FILE},
    }
    return {"files": files, "scoring": table}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
