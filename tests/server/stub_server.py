"""`likeness serve` with a stub engine, whose answer depends on a text in the source image.

Everything else is the real server in a real process, for tests of the server, which need no faces.
"""

import gc
import sys
import time
from pathlib import Path

from likeness.cli.serve import main
from likeness.errors import NoFaceFound, PackNotInstalled
from likeness.faces import BoundingBox, Comparison, Face, FaceMatch, Landmark, Pose, Quality, QualityFilter, Trace
from likeness.server.settings import Settings

SIMILARITY = 98.76543


def face(left: float) -> Face:
    return Face(
        bounding_box=BoundingBox(0.25, 0.5, left, 0.125),
        confidence=99.512345,
        landmarks=(Landmark("eyeLeft", 0.312345, 0.456789),),
        pose=Pose(1.0, 2.0, 3.0),
        quality=Quality(50.0, 60.0),
    )


class StubComparer:
    """Obeys commands in the source image: `until FILE`, `sleep SECONDS`, `no face`, `bug`, `memory`; else it answers.

    `until FILE` works until there is such a file in the server's folder. `similarity N` answers with that number, which
    distinguishes an answer from those to other requests.
    """

    pack_identity = "stub"

    def compare(
        self, source: bytes, target: bytes, *, similarity_threshold: float, quality_filter: QualityFilter
    ) -> Comparison:
        command = bytes(source[:40])
        if command.startswith(b"until "):
            end = time.monotonic() + 120
            while not Path(command.split()[1].decode()).exists() and time.monotonic() < end:
                time.sleep(0.01)
        if command.startswith(b"sleep "):
            time.sleep(float(command.split()[1]))
        if command.startswith(b"no face"):
            raise NoFaceFound("SourceImage: no face found (largest candidate 22 px)")
        if command.startswith(b"bug"):
            raise ZeroDivisionError("a bug")
        if command.startswith(b"memory"):
            raise MemoryError
        trace = Trace(("source photo has 2 faces",), {"decode": 0.001, "detect": 0.002}, 2, 3)
        similarity = float(command.split()[1]) if command.startswith(b"similarity ") else SIMILARITY
        match = FaceMatch(similarity, face(0.25))
        return Comparison(face(0.5), (match,), (), trace=trace)

    def warm_up(self) -> None:
        pass

    def close(self) -> None:
        pass


def load(settings: Settings, threads: int) -> StubComparer:
    if settings.pack == "missing":
        raise PackNotInstalled("pack 'missing' is not installed")
    if settings.pack == "unless-away" and Path("away").exists():
        raise PackNotInstalled("the pack is away")
    if settings.pack == "no collector":
        gc.disable()
    while settings.pack == "not yet" and not Path("now").exists():
        time.sleep(0.01)
    return StubComparer()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], load))
