"""Published corpora of malformed files, where the evaluation data are there (LIKENESS_DATA)."""

import os
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[1]


def malformed(kind: str, most_bytes: int) -> list[bytes]:
    """The files of a `kind` ("jpeg", "png", ...) of at most `most_bytes`; none without the data."""
    folder = Path(os.environ.get("LIKENESS_DATA", _REPOSITORY.parent / "shared" / "data")) / "malformed" / kind
    if not folder.is_dir():
        return []
    return [path.read_bytes() for path in sorted(folder.iterdir()) if 0 < path.stat().st_size <= most_bytes]
