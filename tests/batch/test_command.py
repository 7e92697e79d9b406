"""`likeness batch` as people use it."""

import csv
import json
import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest
from tests.batch.conftest import likeness

from likeness.batch.described import DescribedPhoto, Faces, Failure, encode
from likeness.comparer import Comparer
from likeness.errors import RequestError
from likeness.faces import Comparison

pytestmark = pytest.mark.engine


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def compared(comparer: Comparer, source: Path, target: Path) -> Comparison | RequestError:
    try:
        return comparer.compare(source, target)
    except RequestError as error:
        return error


def test_every_pair_has_the_answer_of_the_comparer(work: Path, comparer: Comparer) -> None:
    out = work / "out.jsonl"
    likeness("batch", work / "pairs.csv", "--output", out, "--full", "--attributes", "all")
    found = records(out)
    assert len(found) == len((work / "pairs.csv").read_text("utf-8").splitlines()) - 1
    errors = 0
    for record in found:
        source, target = (work / str(record[name]) for name in ("source", "target"))
        expected = compared(comparer, source, target)
        if isinstance(expected, RequestError):
            errors += 1
            assert (record["error"], record["answer"]) == (expected.code, None)
            assert record["reason"] == str(expected).replace(f"{work}/", "")
            continue
        assert record["answer"] == expected.to_dict()
        similarities = [match.similarity for match in (*expected.matches, *expected.unmatched)]
        assert record["similarity"] == max(similarities)
        assert (record["matched"], record["matches"]) == (bool(expected.matches), len(expected.matches))
        assert record["unmatched"] == len(expected.unmatched)
        assert record["case"]
    assert 0 < errors < len(found)


def test_csv_and_parquet_hold_what_json_holds(work: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for suffix in ("jsonl", "csv", "parquet"):
        likeness("batch", work / "pairs.csv", "--output", work / f"out.{suffix}", "--store", work, "--keep-store")
    expected = records(work / "out.jsonl")
    assert parquet.read_table(work / "out.parquet").to_pylist() == expected
    with (work / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["similarity"] for row in rows] == [
        "" if each["similarity"] is None else str(each["similarity"]) for each in expected
    ]
    # A table of Parquet or JSONL is read as well as one of CSV.
    for given in ("out.jsonl", "out.parquet"):
        done = likeness("batch", work / given, "--output", work / "again.csv", check=False)
        assert done.returncode == 255
        assert "writes a column similarity;" in done.stderr


def test_tables_of_all_kinds_are_read_alike(work: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    with (work / "pairs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:20]
    pq.write_table(pa.Table.from_pylist(rows), work / "few.parquet")
    (work / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with (work / "few.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for kind in ("csv", "jsonl", "parquet"):
        likeness("batch", work / f"few.{kind}", "--output", work / f"{kind}.jsonl", "--store", work, "--keep-store")
    assert (work / "csv.jsonl").read_bytes() == (work / "jsonl.jsonl").read_bytes()
    assert (work / "csv.jsonl").read_bytes() == (work / "parquet.jsonl").read_bytes()


def test_another_job_in_the_same_output_is_refused_with_what_differs(work: Path) -> None:
    out = work / "out.jsonl"
    likeness("batch", "--source", work / "photos" / "obama-300.jpg", "--targets", work / "photos", "--output", out)
    before = out.read_bytes()
    again = ("batch", "--source", work / "photos" / "obama-300.jpg", "--targets", work / "photos", "--output", out)
    assert "is already finished" in likeness(*again).stderr
    refused = likeness(*again, "--similarity-threshold", "90", "--quality-filter", "AUTO", check=False)
    assert refused.returncode == 255
    assert "similarity threshold was 80.0, is 90.0" in refused.stderr
    assert "quality filter was NONE, is AUTO" in refused.stderr
    assert out.read_bytes() == before
    shutil.rmtree(work / "out.jsonl.run")
    assert "is not of this batch" in likeness(*again, check=False).stderr


def test_the_store_goes_unless_it_is_kept_and_is_for_its_owner_alone(work: Path) -> None:
    arguments = ("batch", work / "pairs.csv", "--output")
    likeness(*arguments, work / "a.jsonl")
    assert not list(work.rglob("*.sqlite*")) or not (work / "a.jsonl.run" / "faces.sqlite").exists()
    said = likeness(*arguments, work / "b.jsonl", "--keep-store").stderr
    kept = work / "b.jsonl.run" / "faces.sqlite"
    assert "biometric" in said
    assert str(kept) in said
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert (work / "a.jsonl").read_bytes() == (work / "b.jsonl").read_bytes()


def test_failed_pairs_are_tried_again_when_asked(work: Path) -> None:
    out = work / "out.jsonl"
    arguments = ("batch", work / "pairs.csv", "--output", out)
    assert "--retry-errors" in likeness(*arguments).stderr
    before = records(out)
    shutil.copy(work / "photos" / "obama-300.jpg", work / "photos" / "broken.jpg")
    likeness(*arguments)
    assert records(out) == before
    likeness(*arguments, "--retry-errors")
    after = records(out)
    assert any(each["error"] for each in before)
    assert not any(each["error"] for each in after)
    assert [each for each in after if "broken" not in f"{each['source']}{each['target']}"] == [
        each for each in before if "broken" not in f"{each['source']}{each['target']}"
    ]


def test_all_pairs_are_searched_again_with_a_photo_that_is_mended(work: Path) -> None:
    out = work / "out.jsonl"
    likeness("batch", "--all-pairs", work / "photos", "--output", out)
    status = (work / "photos" / "broken.jpg").stat()
    assert records(out)[0]["error"]
    whole = (work / "photos" / "obama-300.jpg").read_bytes()
    (work / "photos" / "broken.jpg").write_bytes(whole)
    refused = likeness("batch", "--all-pairs", work / "photos", "--output", out, "--retry-errors", check=False)
    assert "pairs was" in refused.stderr
    # The folder's listing is part of the job; where a photo was unreadable for a while, it is the same.
    (work / "photos" / "broken.jpg").write_bytes(b"this is no photo")
    os.utime(work / "photos" / "broken.jpg", ns=(status.st_atime_ns, status.st_mtime_ns))
    before = out.read_bytes()
    likeness("batch", "--all-pairs", work / "photos", "--output", out, "--retry-errors")
    assert out.read_bytes() == before


def test_fail_fast_ends_with_the_first_photo_that_cannot_be_used(work: Path) -> None:
    out = work / "out.jsonl"
    done = likeness("batch", work / "pairs.csv", "--output", out, "--fail-fast", check=False)
    assert done.returncode == 255
    assert "broken.jpg" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_folders_are_paired_by_name_and_one_photo_goes_against_many(work: Path) -> None:
    cards, selfies = work / "cards", work / "selfies"
    for name in ("obama", "biden"):
        (selfies / name).mkdir(parents=True)
        cards.mkdir(exist_ok=True)
        shutil.copy(work / "photos" / f"{name}-300.jpg", cards / f"{name}.jpg")
        shutil.copy(work / "photos" / f"{name}-360.jpg", selfies / name / "1.jpg")
    likeness("batch", "--sources", cards, "--targets", selfies, "--match", "name", "--output", work / "m.jsonl")
    assert [(Path(str(r["source"])).name, Path(str(r["target"])).parent.name) for r in records(work / "m.jsonl")] == [
        ("biden.jpg", "biden"),
        ("obama.jpg", "obama"),
    ]
    assert all(each["matched"] for each in records(work / "m.jsonl"))
    likeness("batch", "--sources", cards, "--targets", selfies, "--output", work / "all.jsonl")
    assert [each["matched"] for each in records(work / "all.jsonl")] == [True, False, False, True]


def test_all_pairs_finds_who_is_there_twice(work: Path, comparer: Comparer) -> None:
    out = work / "out.jsonl"
    likeness("batch", "--all-pairs", work / "photos", "--top", "50", "--output", out)
    found = records(out)
    assert Path(str(found[0]["source"])).name == "broken.jpg"
    assert found[0]["target"] is None
    assert found[0]["error"] == "InvalidImageFormatException"
    pairs = {(str(each["source"]), str(each["target"])) for each in found[1:]}
    photos = [str(path) for path in sorted((work / "photos").glob("*.jpg")) if path.name != "broken.jpg"]
    for place, first in enumerate(photos):
        for second in photos[place + 1 :]:
            answer = comparer.compare(first, second)
            largest = {f.face.bounding_box: f for f in (*answer.matches, *answer.unmatched)}
            shown = comparer.prepare(second).face.bounding_box
            assert ((first, second) in pairs) == (largest[shown].similarity >= 80), (first, second)
    for each in found[1:]:
        assert each["similarity"] >= 80  # type: ignore[operator]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give pairs as a table"),
        (["--sources", "x"], "--targets goes with"),
        (["p.csv", "--all-pairs", "x"], "give pairs as a table"),
        (["p.csv", "--store-size", "much"], "is not a size"),
        (["p.csv", "--store-size", "-1"], "'-1' is not a size"),
        (["p.csv", "--memory=-2G"], "'-2G' is not a size"),
        (["p.csv", "--columns", "a"], "two names"),
        (["p.csv", "--similarity-threshold", "nan"], "is not a number from 0 to 100"),
        (["--all-pairs", "x", "--top", "0"], "is not a whole number from 1"),
        (["--all-pairs", "x", "--top", "9223372036854775808"], "is not a whole number from 1"),
        (["--all-pairs", "x", "--full"], "--full goes with pairs"),
        (["--all-pairs", "x", "--images", "y"], "--images goes with a table"),
        (["p.csv", "--top", "3"], "--top goes with --all-pairs"),
        (["p.csv", "--targets", "x"], "--targets goes with"),
        (["p.csv", "--actors", "2"], "--actors goes with --engine ray"),
        (["p.csv", "--engine", "ray", "--memory", "2G"], "--memory is for --engine local"),
    ],
)
def test_wrong_usage_is_an_error_of_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = likeness("batch", *arguments, "--output", tmp_path / "out.csv", check=False)
    assert done.returncode == 252
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2\n", "no column source and target"),
        ("", "there are none"),
        ("source;target\nx.jpg;y.jpg\n", "separated by ';'; CSV requires commas"),
        ("source\ttarget\nx.jpg\ty.jpg\n", "separated by '\\t'; CSV requires commas"),
        ("source,target\ncaf\udce9,x.jpg\n", "it is not UTF-8"),
        ("source,target\nx.jpg\n", "line 2"),
        ("source,target\n,x.jpg\n", "row 1"),
        ("source,target,error\nx.jpg,y.jpg,1\n", "rename that of the table"),
        ("source,case,target,case\nx.jpg,1,y.jpg,2\n", "two columns are called case"),
    ],
)
def test_tables_that_cannot_be_read_are_told_so(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_bytes(content.encode("utf-8", "surrogateescape"))
    done = likeness("batch", tmp_path / "pairs.csv", "--output", tmp_path / "out.csv", check=False)
    assert done.returncode == 255
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_of_photos_that_is_missing_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("source,target\na.jpg,b.jpg\n", "utf-8")
    out = tmp_path / "out.csv"
    done = likeness("batch", tmp_path / "pairs.csv", "--images", tmp_path / "none", "--output", out, check=False)
    assert done.returncode == 255
    assert done.stderr == f"likeness: --images {tmp_path / 'none'}: no such folder\n"
    assert not out.exists()


def test_a_report_without_pairs_is_not_said_to_contain_faces(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("source,target\na.jpg,b.jpg\n", "utf-8")
    out, report = tmp_path / "out.csv", tmp_path / "review.html"
    done = likeness("batch", tmp_path / "pairs.csv", "--output", out, "--report", report)
    assert "0 pairs on 1 page; no pair could be compared" in done.stderr


def test_objects_of_a_bucket_are_photos_too(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "bucket").mkdir()
    shutil.copytree(work / "photos", work / "bucket" / "photos")
    monkeypatch.setenv("LIKENESS_S3_DIRECTORY", str(work / "bucket"))
    rows = [
        {
            "source": "s3://any/photos/obama-300.jpg",
            "target": {"S3Object": {"Bucket": "any", "Name": "photos/none.jpg"}},
        },
        {"source": "photos/obama-300.jpg", "target": '{"Bucket": "any", "Name": "photos/obama-300.jpg"}'},
    ]
    (work / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    likeness("batch", work / "pairs.jsonl", "--output", work / "out.jsonl")
    first, second = records(work / "out.jsonl")
    assert first["error"] == "InvalidS3ObjectException"
    assert first["target"] == rows[0]["target"]
    assert second["similarity"] == 100.0


def test_a_prefix_of_a_bucket_is_compared_as_a_folder_is(work: Path, bucket: str) -> None:
    import boto3

    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"])
    for path in (work / "photos").iterdir():
        client.upload_file(str(path), bucket, f"photos/{path.name}")
    client.close()
    (work / "s3:" / bucket).mkdir(parents=True)  # a local folder that is called as the URL is
    there_too = f"s3://{bucket}/photos/"
    for name, here, there in (
        ("all", ("--all-pairs", "photos"), ("--all-pairs", there_too)),
        ("pairs", ("--sources", "photos", "--targets", "photos"), ("--sources", there_too, "--targets", there_too)),
        (
            "one",
            ("--source", "photos/obama-300.jpg", "--targets", "photos"),
            ("--source", f"{there_too}obama-300.jpg", "--targets", there_too),
        ),
    ):
        likeness("batch", *here, "--output", f"{name}-here.jsonl", cwd=work)
        likeness("batch", *there, "--output", f"{name}-there.jsonl", cwd=work)
        expected = (work / f"{name}-here.jsonl").read_text("utf-8").replace("photos/", there_too)
        assert (work / f"{name}-there.jsonl").read_text("utf-8") == expected, name
    refused = likeness("batch", "--all-pairs", "s3://no-such-bucket/x/", "--output", work / "no.jsonl", check=False)
    assert refused.returncode == 255
    assert refused.stderr == ("likeness: listing s3://no-such-bucket/x/: there is no such bucket (404 NoSuchBucket)\n")


def test_a_second_run_describes_nothing_that_is_kept(work: Path) -> None:
    store = ("--store", work / "faces", "--keep-store")
    likeness("batch", work / "pairs.csv", "--output", work / "first.jsonl", *store)
    with sqlite3.connect(work / "faces" / "faces.sqlite") as database:
        # As if nobody had a face: who describes anew shows it.
        payload = encode(DescribedPhoto(Failure("NoFaceFound", "KeptException", "kept"), Faces((), b"")))
        database.execute("UPDATE faces SET payload = ?", (payload,))
    database.close()
    likeness("batch", work / "pairs.csv", "--output", work / "second.jsonl", *store)
    assert {each["error"] for each in records(work / "second.jsonl")} == {"KeptException"}
    likeness("batch", work / "pairs.csv", "--output", work / "third.jsonl")
    assert (work / "third.jsonl").read_bytes() == (work / "first.jsonl").read_bytes()


def test_photos_that_cannot_be_opened_are_rows(work: Path) -> None:
    (work / "photos" / "loop.jpg").symlink_to("loop.jpg")
    (work / "photos" / "nowhere.jpg").symlink_to("gone.jpg")
    os.mkfifo(work / "photos" / "pipe.jpg")
    likeness("batch", "--all-pairs", work / "photos", "--output", work / "out.jsonl", "--top", "1")
    found = records(work / "out.jsonl")
    failed = [Path(str(each["source"])).name for each in found if each["error"]]
    assert failed == ["broken.jpg", "loop.jpg", "nowhere.jpg"]
    assert len(found) > len(failed)


def test_every_column_travels_and_a_table_without_pairs_has_them_too(work: Path) -> None:
    photo = "photos/obama-300.jpg"
    rows = [{"source": photo, "target": photo, "a": 1}, {"source": photo, "target": photo, "b": {"c": "ü"}}]
    (work / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    likeness("batch", work / "p.jsonl", "--output", work / "out.csv")
    with (work / "out.csv").open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert (first["a"], first["b"], second["a"], second["b"]) == ("1", "", "", '{"c":"ü"}')
    (work / "none.csv").write_text("source,target\n", "utf-8")
    likeness("batch", work / "none.csv", "--output", work / "none-out.csv")
    header = "source,target,similarity,matched,matches,unmatched,error,reason\r\n"
    assert (work / "none-out.csv").read_bytes() == header.encode()
    parquet = pytest.importorskip("pyarrow.parquet")
    likeness("batch", work / "none.csv", "--output", work / "none.parquet", "--full")
    assert parquet.read_schema(work / "none.parquet").names == [*header.split()[0].split(","), "answer"]
