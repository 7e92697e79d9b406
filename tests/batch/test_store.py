"""The face store: bounded, by content and maker, for its owner alone."""

import hashlib
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from likeness.batch.described import DescribedPhoto, Faces, Failure
from likeness.batch.errors import BatchError
from likeness.batch.store import FaceStore


def key(number: int) -> bytes:
    return hashlib.sha256(bytes([number])).digest()


def photo(number: int) -> DescribedPhoto:
    return DescribedPhoto(source=Faces((), bytes([number]) * 1000))


def test_what_was_put_is_there_for_the_same_maker_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "faces.sqlite"
    with FaceStore.open(path, "one") as store:
        store.put([(key(1), photo(1))])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with FaceStore.open(path, "one") as store:
        assert store.get(key(1)) == photo(1)
        assert store.get(key(2)) is None
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(store.known, [key(1), key(2)] * 50)) == [photo(1), None] * 50
    with FaceStore.open(path, "another") as store:
        assert store.get(key(1)) is None


def test_a_description_in_more_roles_takes_the_place_of_one_in_fewer(tmp_path: Path) -> None:
    both = DescribedPhoto(source=photo(1).source, target=photo(1).source)
    with FaceStore.open(tmp_path / "faces.sqlite", "one") as store:
        store.put([(key(1), photo(1))])
        assert store.get(key(1)) == photo(1)
        store.put([(key(1), both)])
        assert store.get(key(1)) == both


def test_a_full_store_lets_the_oldest_go(tmp_path: Path) -> None:
    with FaceStore.open(tmp_path / "faces.sqlite", "one", max_bytes=10_500) as store:
        for number in range(30):
            store.put([(key(number), photo(number))])
    with FaceStore.open(tmp_path / "faces.sqlite", "one") as store:
        there = [number for number in range(30) if store.get(key(number))]
    assert 5 <= len(there) <= 10
    assert there == list(range(30 - len(there), 30))


def test_failures_are_forgotten_when_asked(tmp_path: Path) -> None:
    failed = DescribedPhoto(source=Failure("NoFaceFound", "InvalidParameterException", "none"))
    with FaceStore.open(tmp_path / "faces.sqlite", "one") as store:
        store.put([(key(1), failed), (key(2), photo(2))])
        store.forget_failures()
        assert store.get(key(1)) is None
        assert store.get(key(2)) == photo(2)


def test_a_file_that_is_not_a_store_is_reported(tmp_path: Path) -> None:
    (tmp_path / "faces.sqlite").write_text(
        "something else, and long enough to be no header of a database" * 20, "utf-8"
    )
    with pytest.raises(BatchError, match="cannot store faces"), FaceStore.open(tmp_path / "faces.sqlite", "one"):
        pass


@pytest.mark.parametrize("damage", [b"", b"\0" * 30, b"\xff" * 8, None, "text"])
def test_a_damaged_description_is_analysed_again(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "faces.sqlite"
    with FaceStore.open(path, "one") as store:
        store.put([(key(1), photo(1)), (key(2), photo(2))])
    with sqlite3.connect(path) as database:
        (payload,) = database.execute("SELECT payload FROM faces WHERE content = ?", (key(1),)).fetchone()
        # One bit of a vector, which no parser would notice.
        changed = payload[:-20] + bytes([payload[-20] ^ 1]) + payload[-19:] if damage is None else damage
        database.execute("UPDATE faces SET payload = ? WHERE content = ?", (changed, key(1)))
    database.close()
    with FaceStore.open(path, "one") as store:
        assert store.get(key(1)) is None
        assert store.get(key(2)) == photo(2)
        store.put([(key(1), photo(1))])
        assert store.known(key(1)) == photo(1)
    with FaceStore.open(path, "one") as store:
        store.forget_failures()
        assert store.get(key(1)) == photo(1)


def test_damaged_definitions_of_the_tables_are_told(tmp_path: Path) -> None:
    """SQLite quotes them in its message, which is then no UTF-8."""
    path = tmp_path / "faces.sqlite"
    with FaceStore.open(path, "one"):
        pass
    content = path.read_bytes()
    path.write_bytes(content.replace(b"CREATE INDEX by_use", b"CREATE \xff\xfeDEX by_use"))
    assert path.read_bytes() != content
    with pytest.raises(BatchError, match="cannot store faces"), FaceStore.open(path, "one"):
        pass


def test_the_size_counts_each_description_once(tmp_path: Path) -> None:
    with FaceStore.open(tmp_path / "faces.sqlite", "one", max_bytes=5000) as store:
        for _ in range(20):
            store.put([(key(1), photo(1)), (key(2), photo(2))])
        assert store.get(key(1)) == photo(1)
        failed = DescribedPhoto(source=Failure("NoFaceFound", "InvalidParameterException", "x" * 2500))
        for _ in range(5):
            store.put([(key(3), failed)])
            store.forget_failures()
        store.put([(key(4), photo(4))])
        assert [number for number in range(5) if store.known(key(number))] == [1, 2, 4]
