"""The face store and the evaluation's file of vectors (SQLite), damaged: as files, and in what their rows hold."""

import random
import sqlite3
from functools import cache
from pathlib import Path

from fuzz.formats import file_of, folder
from fuzz.mutations import mutated
from fuzz.target import Target
from likeness.batch.described import DescribedPhoto, Faces, Failure
from likeness.batch.errors import BatchError
from likeness.batch.plan import Plan
from likeness.batch.store import FaceStore
from likeness.faces import BoundingBox, Face, Landmark, Pose, Quality

KEY, MAKER = b"k" * 32, "standard 9"
#: After this the input holds the payload of a row, not the file.
ROW = b"row:"


def described() -> DescribedPhoto:
    """A photo with one face as source that failed as target."""
    landmarks = (Landmark("eyeLeft", 0.3, 0.4),)
    face = Face(BoundingBox(0.2, 0.5, 0.1, 0.1), 99.5, landmarks, Pose(1.0, 2.0, 3.0), Quality(50.0, 60.0))
    failure = Failure("NoFaceFound", "InvalidParameterException", "no face")
    return DescribedPhoto(Faces((face,), b"\0\0\x80?" * 4), failure)


def run(data: bytes) -> None:
    """Opens the store, reads, forgets failures and writes; then the same file as a plan."""
    for suffix in ("-wal", "-shm"):
        (folder() / f"faces.db{suffix}").unlink(missing_ok=True)
    if data.startswith(ROW):
        path = file_of(stored(), "faces.db")
        with sqlite3.connect(path) as database:
            database.execute("UPDATE faces SET payload = ?", (data[len(ROW) :],))
        database.close()
    else:
        path = file_of(data, "faces.db")
    with FaceStore.open(path, MAKER, 10_000) as store:
        found = store.get(KEY)
        for side in (found.source, found.target) if found else ():
            if isinstance(side, Faces):
                assert side.matrix.shape[0] == len(side.faces)
        store.forget_failures()
        store.put([(KEY, described())])
        assert store.get(KEY) == described()
    with Plan.open(path) as plan:
        plan.counts()
        plan.make_of_photos(["a.jpg"])
        list(plan.photos())
        plan.content("a.jpg")


@cache
def stored() -> bytes:
    """A store with one description."""
    path = Path(folder() / "seed.db")
    with FaceStore.open(path, MAKER) as store:
        store.put([(KEY, described())])
    return path.read_bytes()


def seeds() -> list[bytes]:
    """A file, and the payload of a row."""
    from likeness.batch.described import encode

    return [stored(), ROW + encode(described())]


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Changes the row's payload, or a page of the file near its header and cells."""
    if data.startswith(ROW):
        return ROW + mutated(data[len(ROW) :], chance)
    if chance.random() < 0.5:
        return mutated(data, chance)
    made = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        page = 4096 * chance.randrange(max(1, len(made) // 4096))
        place = page + (chance.randrange(110) if chance.random() < 0.6 else chance.randrange(4096))
        if place < len(made):
            made[place] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
    return bytes(made)


TARGET = Target(run, (BatchError,), seeds, mutate=mutate, max_bytes=40_000)
