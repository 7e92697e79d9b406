"""The cases of the benchmark: pairs of photos, and the repetitions of each contestant."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.photos import Pair, group, portrait_pair, portraits_of


@dataclass(frozen=True)
class Case:
    """One row of the table. `repeat` gives the comparisons of each contestant in a round; a contestant without is left
    out. With `targets`, one source is compared with that many photos, and a comparison with all of them is one
    repetition. `beside` is a reference pair that Likeness compares after each of its turns.
    """

    name: str
    title: str
    pair: Callable[[], Pair]
    repeat: dict[str, int]
    targets: int = 0
    beside: Callable[[], Pair] | None = None

    def target_photos(self, count: int) -> list[Path]:
        """The first `count` of the target photos."""
        return portraits_of(self.targets, 1280, 886)[:count]


def _repeat(ours: int, face_recognition: int, deepface: int, moto: int = 0) -> dict[str, int]:
    return {
        "floor": ours,
        "likeness": ours,
        "likeness http": ours,
        "face_recognition": face_recognition,
        "deepface": deepface,
        "moto": moto,
    }


def _one_against(count: int, columns: int) -> Pair:
    return Pair(portrait_pair(1280, 886).source, group(count, columns, 1920, 1080))


def _two_groups() -> Pair:
    photo = group(6, 3, 1280, 886)
    return Pair(photo, photo)


CASES: tuple[Case, ...] = (
    Case("640x480", "pair of 640×480", lambda: portrait_pair(640, 480), _repeat(20, 3, 2, 20)),
    Case("1280x886", "pair of 1280×886", lambda: portrait_pair(1280, 886), _repeat(20, 2, 1, 20)),
    Case("1920x1080", "pair of 1920×1080", lambda: portrait_pair(1920, 1080), _repeat(20, 2, 1, 20)),
    Case("groups", "pair of groups of 6, 1280×886", _two_groups, _repeat(10, 1, 1)),
    Case("group-20", "one against a group of 20", lambda: _one_against(20, 5), _repeat(10, 1, 1)),
    Case("group-100", "one against a group of 100", lambda: _one_against(100, 13), _repeat(4, 1, 1)),
    Case(
        "50-targets",
        "one against 50 photos of 1280×886",
        lambda: portrait_pair(1280, 886),
        {"likeness": 1, "likeness http": 1, "face_recognition": 1, "deepface": 1},
        targets=50,
    ),
    Case(
        "12mp",
        "pair of 12 megapixels, 4032×3024",
        lambda: portrait_pair(4032, 3024),
        _repeat(10, 1, 1),
        beside=lambda: portrait_pair(1920, 1080),
    ),
)

#: The name of the reference pair in the results.
BESIDE = "likeness, 1920x1080"
#: The peers process this many of 50 target photos, and their figures are multiplied.
PEERS_TARGETS = 5
#: The case (photos of about 500 KB) for the cost of HTTP, and the case for many clients at once.
HTTP_CASE = "1920x1080"
CLIENTS_CASE = "1280x886"
CLIENTS = (1, 2, 4, 8)
