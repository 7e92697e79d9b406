"""Progress, sizes, references, storage: what the batch is made of."""

import re
from pathlib import Path

import pytest

from likeness.batch.all_pairs import SimilarPairs
from likeness.batch.cluster.parts import PHOTOS_A_PART, StoredPhotos, part_name, part_of
from likeness.batch.described import DescribedPhoto, Faces
from likeness.batch.errors import BatchError
from likeness.batch.memory import threads_within
from likeness.batch.photos import reference_of
from likeness.batch.plan import Plan
from likeness.batch.progress import Count, PlainLines
from likeness.batch.storage import FolderStorage, Storage, open_storage
from likeness.system.processors import thread_budget


def test_plain_lines_say_how_many_how_fast_how_long_and_how_many_errors() -> None:
    lines: list[str] = []
    progress = PlainLines(lines.append, seconds_between=0.0)
    progress.begin(Count(total=10, done=4, before=4), Count(total=2000))
    progress.photo(failed=True)
    progress.pairs(2000)
    first, last = lines
    assert re.fullmatch(
        r"likeness: 5 of 10 photos, 0 of 2,000 pairs, [\d,.]+ a second, [\d,]+ s left, 1 photo with errors", first
    )
    assert "2,000 of 2,000 pairs" in last


@pytest.mark.parametrize(
    ("given", "reference"),
    [
        ("a.jpg", "a.jpg"),
        ("s3://b/k.jpg", "s3://b/k.jpg"),
        ({"S3Object": {"Bucket": "b", "Name": "k.jpg"}}, "s3://b/k.jpg"),
        ('{"S3Object": {"Bucket": "b", "Name": "k.jpg", "Version": "7"}}', "s3://b/k.jpg?versionId=7"),
        ({"Bucket": "b", "Name": "k.jpg"}, "s3://b/k.jpg"),
    ],
)
def test_photos_are_named_in_several_ways(given: object, reference: str) -> None:
    assert reference_of(given) == reference


@pytest.mark.parametrize("given", ["", None, 7, "{}", "{", {"S3Object": {"Bucket": "b"}}])
def test_what_names_no_photo_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match=r"photo|Expecting"):
        reference_of(given)


def test_memory_bounds_the_threads() -> None:
    assert threads_within(None) == thread_budget()
    assert threads_within(500 << 20) == 1
    with pytest.raises(BatchError, match="--memory 499M is too little; 500M are needed"):
        threads_within(499 << 20)
    assert threads_within(1 << 40) == thread_budget()


def test_the_most_alike_of_each_photo_are_kept_once() -> None:
    import numpy as np

    pairs = SimilarPairs(
        np.array([0, 0, 0, 1]), np.array([1, 2, 3, 2]), np.array([90.0, 99.0, 95.0, 91.0], dtype=np.float32)
    )
    kept = pairs.most_similar(1)
    assert list(zip(kept.first.tolist(), kept.second.tolist(), strict=True)) == [(0, 2), (0, 3), (1, 2)]
    assert len(SimilarPairs.joined([]).most_similar(3).first) == 0


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage(str(tmp_path / "shared"))
    pytest.importorskip("pyarrow.fs")
    return open_storage(f"s3://{request.getfixturevalue('bucket')}/run")


def test_a_storage_holds_blobs_by_name(storage: Storage) -> None:
    assert storage.names("faces") == set()
    storage.write("faces/a", [b"01234", b"56789"])
    storage.write("faces/a", [b"9876543210"])
    assert storage.names("faces") == {"a"}
    assert storage.read("faces/a") == b"9876543210"
    assert storage.read("faces/a", 2, 3) == b"765"
    storage.remove("faces")
    storage.remove("nothing")
    assert storage.names("faces") == set()


def test_a_shared_bucket_that_is_not_there_is_told_so(bucket: str) -> None:
    pytest.importorskip("pyarrow.fs")
    with pytest.raises(BatchError, match=r"^the shared place s3://no-such-bucket/run cannot be written to: .*exist"):
        open_storage("s3://no-such-bucket/run").write("faces/a", [b"x"])


def test_a_failure_beside_a_database_is_not_called_one_of_it(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="elsewhere"), Plan.open(tmp_path / "plan.sqlite"):
        raise OSError(28, "No space left elsewhere")
    with pytest.raises(BatchError, match=r"plan\.sqlite cannot keep the plan: "):  # noqa: SIM117
        with Plan.open(tmp_path / "plan.sqlite") as plan:
            plan._database.execute("SELECT nothing")
    (tmp_path / "file").touch()
    with pytest.raises(BatchError, match="cannot keep the plan"), Plan.open(tmp_path / "file" / "plan.sqlite"):
        pass


def test_one_photo_of_a_part_is_read_alone(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    photos = [DescribedPhoto(source=Faces((), bytes([n]) * n)) for n in range(PHOTOS_A_PART)]
    storage.write(f"faces/{part_name(0)}", [part_of(photos)])
    storage.write(f"faces/{part_name(1)}", [part_of(photos[:3])])
    stored = StoredPhotos(storage)
    assert [stored.get(n + 1) for n in range(PHOTOS_A_PART)] == photos
    assert stored.get(PHOTOS_A_PART + 3) == photos[2]
    assert stored.part(0) == photos
    assert stored.part(1) == photos[:3]
