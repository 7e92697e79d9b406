"""The files of a run that a disk has damaged: each is named with what to do, or made again."""

from pathlib import Path

import pytest

from likeness.batch import manifest
from likeness.batch.all_pairs import Blocks, block_of
from likeness.batch.cluster.face_store import StoredFaces
from likeness.batch.cluster.parts import StoredPhotos, part_name, part_of
from likeness.batch.described import DescribedPhoto, Failure
from likeness.batch.errors import BatchError
from likeness.batch.outputs import encode_lines, write_output
from likeness.batch.shards import Shards
from likeness.batch.storage import FolderStorage

RECORD = {"source": "a.jpg", "target": "b.jpg", "similarity": 1.5, "error": None}
DAMAGED_LINES = [
    b'{"error": "\xff"}\n',
    b"\0" * 20 + b"\n",
    b'{"source": "a.jpg"\n',
    b"7\n",
    b'{"source": "a.jpg"}\n',
    b'{"error": ' + b"[" * 5000,
]
PHOTO = DescribedPhoto(source=Failure("NoFaceFound", "InvalidParameterException", "no face"))


@pytest.mark.parametrize("line", DAMAGED_LINES)
def test_a_damaged_shard_is_named(tmp_path: Path, line: bytes) -> None:
    shards = Shards(tmp_path, rows=10)
    for number, content in enumerate((encode_lines([RECORD]), encode_lines([RECORD]) + line)):
        shards.path(number).write_bytes(content)
    with pytest.raises(BatchError, match=r"00000001.jsonl, line 2: damaged .*; remove this file and run again"):
        write_output(tmp_path / "out.csv", shards.all(), ["source", "target"])
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("line", DAMAGED_LINES)
def test_a_retry_makes_damaged_shards_again(tmp_path: Path, line: bytes) -> None:
    shards = Shards(tmp_path, rows=10)
    for number, content in enumerate((encode_lines([RECORD]), line)):
        shards.path(number).write_bytes(content)
    shards.drop_failed()
    assert shards.all() == [shards.path(0)]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"facts": [], "finished": true}', '{"facts": 7, "finished": 1}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(content)
    with pytest.raises(BatchError, match=r"manifest.json cannot be read .*; remove .* to start again"):
        manifest.state(path, tmp_path / "out.jsonl", {"pairs": "abc"})


@pytest.mark.parametrize("kept", [100, 265])
def test_a_damaged_part_of_a_cluster_is_named(tmp_path: Path, kept: int) -> None:
    storage = FolderStorage(tmp_path)
    storage.write(f"faces/{part_name(0)}", [part_of([PHOTO])[:kept]])
    for read in (lambda: StoredPhotos(storage).get(1), lambda: StoredPhotos(storage).part(0)):
        with pytest.raises(BatchError, match=rf"faces/{part_name(0)} of the shared place is damaged .*; remove it"):
            read()


def test_a_damaged_face_in_a_clusters_store_is_analysed_again(tmp_path: Path) -> None:
    faces = StoredFaces(str(tmp_path), "standard 9")
    faces.put(b"a", PHOTO)
    assert faces.known(b"a") == PHOTO
    (blob,) = (path for path in tmp_path.rglob("*") if path.is_file())
    blob.write_bytes(blob.read_bytes()[:-1])
    assert faces.known(b"a") is None


@pytest.mark.parametrize("folder", ["vectors", "candidates"])
def test_a_damaged_block_of_all_pairs_is_named(tmp_path: Path, folder: str) -> None:
    blocks = Blocks(FolderStorage(tmp_path), photos=1)
    blocks.write(0, block_of(0, [PHOTO]))
    blocks.write_candidates(0, [])
    assert list(blocks.records(5, str))
    (tmp_path / folder / "00000000").write_bytes(b"\x81\xa1a")
    with pytest.raises(BatchError, match=f"{folder}/00000000 in the folder of the run is damaged .*; remove it"):
        list(blocks.records(5, str))
