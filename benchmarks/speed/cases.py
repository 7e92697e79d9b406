"""What is measured: the pairs of photos, and how often each contestant gets to see them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.photos import Pair, group, portrait_pair, portraits_of


@dataclass(frozen=True)
class Case:
    """One row of the table. `repeat` says how many comparisons each contestant makes in a round; none means that it is
    left out. With `targets`, one source is compared with that many photos, and a comparison with all of them is one
    repetition. `beside` is another pair that Likeness compares after each of its turns, because its times are held
    against those of this one.
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

#: Who a case's pair beside is measured of, as the results name it.
BESIDE = "likeness, 1920x1080"
#: Of 50 target photos the peers are given this many, and their figures are multiplied.
PEERS_TARGETS = 5
#: The photos of about 500 KB each that the cost of HTTP is measured on, and those for many clients at once.
HTTP_CASE = "1920x1080"
CLIENTS_CASE = "1280x886"
CLIENTS = (1, 2, 4, 8)
