"""Sample portraits, works of the US government, for demonstrations and tests."""

from pathlib import Path

from likeness.packs.installation import ensure
from likeness.packs.progress import Progress
from likeness.packs.store import known

NAME = "samples"


def samples(*, progress: Progress | None = None) -> dict[str, Path]:
    """The sample portraits by file name ("obama.jpg", "biden.jpg" and so on), downloaded on first use.

    Raises PackNotInstalled, PackDownloadFailed, PackDamaged.
    """
    folder = ensure(NAME, progress=progress)
    return {name: folder / name for name in known(NAME).files}
