"""`likeness compare-faces` without a server: usage errors, imports at start, S3 objects, help."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from likeness.cli import failures, page
from likeness.cli.options import OPTIONS
from likeness.cli.parameters import MAX_FILE_BYTES
from likeness.packs import store

Likeness = Callable[..., Any]
TARGET = ["--target-image", "Bytes=b25l"]
PHOTOS = ["--source-image", "Bytes=b25l", *TARGET]
COMMAND = "from likeness.cli.main import main; code = main(sys.argv[1:]); "


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 252, "likeness: give both photos, --source-image-bytes fileb://a.jpg"),
        (["--source-image", "me.jpg", *TARGET], 252, "fileb://me.jpg"),
        (["--source-image-bytes", "me.jpg", *TARGET], 255, "fileb://me.jpg"),
        (["--source-image-bytes", "fileb://none.jpg", *TARGET], 252, "No such file or directory: 'none.jpg'"),
        (["--source-image-bytes", "file://photo.bin", *TARGET], 252, "please use the fileb:// prefix"),
        (["--source-image-bytes", "fileb://gif", *TARGET], 254, "likeness: TargetImage: neither JPEG nor PNG but GIF"),
        (["--source-image-bytes", "fileb://faceless", *TARGET], 254, "likeness: SourceImage: no face found (largest"),
        (["--source-image", "Bytes=" + "*" * 5000 + "abcde", *TARGET], 255, 'Invalid base64: "***'),
        ([*PHOTOS, "--overlay", "none/x.png"], 252, "there is no folder"),
        ([*PHOTOS, "--overlay", "."], 252, "it is a folder"),
        (["--source-image-bytes", "fileb://one.jpg", *TARGET, "--overlay", "./one.jpg"], 252, "already uses this file"),
        (["--source-image", "Bytes@=fileb://one.jpg", *TARGET, "--overlay", "one.jpg"], 252, "already uses this file"),
        ([*PHOTOS, "--cli-input-json", "file://empty.json", "--overlay", "empty.json"], 252, "already uses this file"),
        (
            ["--cli-input-json", "one.jpg"],
            252,
            "Invalid JSON received.\nlikeness: to read that file, write file://one.jpg",
        ),
        (["--cli-input-yaml", "a: 1" + "0" * 5000], 252, "Invalid YAML received."),
        (["--cli-input-json", '{"sourceImage": {}}'], 252, 'Unknown parameter in input: "sourceImage"'),
        (["a.jpg", "b.jpg"], 252, "likeness: give photos as --source-image-bytes fileb://a.jpg --target"),
        (["--source-image-bytes", "fileb://one.jpg ", *TARGET], 252, "there is a file one.jpg: write fileb://one.jpg"),
        (["--source-image-bytes", "fileb://'one.jpg'", *TARGET], 252, "there is a file one.jpg: write fileb://one.jpg"),
        (["--source-image-bytes", "été.jpg", *TARGET], 255, "only ASCII characters\nlikeness: SourceImage: to compare"),
        (["--source-image-bytes", "-", *TARGET], 254, "likeness: SourceImage: Bytes is empty (0 bytes). Give a file"),
        (["--source-image-bytes", "fileb://empty", *TARGET], 254, "likeness: SourceImage: Bytes is empty (0 bytes)."),
        (["--source-image", '{"a":' * 20_000, *TARGET], 255, "A value is nested too deeply"),
        (["--source-image", "a={" * 5000, *TARGET], 255, "A value is nested too deeply"),
        (["--source-image-bytes", "fileb://\x1b[2J", *TARGET], 252, "paramfile fileb://\\x1b[2J: "),
    ],
)
def test_mistakes_get_a_clear_line(
    likeness: Likeness, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "photo.bin").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "empty").touch()
    (tmp_path / "empty.json").write_text("{}")
    for name in ("gif", "faceless", "one.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    ran = likeness(arguments)
    assert ran.code == code
    assert ran.out == ""
    assert message in ran.err
    assert "Unknown parameter" not in message or "give both photos" not in ran.err
    assert "Traceback" not in ran.err
    assert len(ran.err) < 1500


def test_a_byte_order_mark_is_no_part_of_a_document(likeness: Likeness, tmp_path: Path) -> None:
    """As Windows' programs write it before UTF-8."""
    (tmp_path / "bom.json").write_bytes(b"\xef\xbb\xbf" + b'{"QualityFilter": "NONE"}')
    assert likeness([*PHOTOS, "--cli-input-json", "file://bom.json"]).code == 0


def test_a_huge_file_is_not_read_whole(likeness: Likeness, tmp_path: Path) -> None:
    with open(tmp_path / "huge.jpg", "wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    ran = likeness(["--source-image-bytes", "fileb://huge.jpg", *TARGET])
    assert ran.code == 252
    assert "larger than 64 MiB" in ran.err
    assert likeness(["--source-image-bytes", "fileb:///dev/zero", *TARGET]).code == 252


def test_a_photo_over_five_megabytes_is_refused_as_by_the_service(likeness: Likeness, tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(bytes(5_242_881))
    ran = likeness(["--source-image-bytes", "fileb://large.jpg", *TARGET])
    assert ran.code == 254
    assert "ValidationException" in ran.err
    assert "lim=5242881" in ran.err


def test_interrupted(likeness: Likeness, monkeypatch: pytest.MonkeyPatch) -> None:
    from likeness.cli import connection

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(connection, "engine_client", interrupt)
    ran = likeness(PHOTOS)
    assert (ran.code, ran.out, ran.err) == (130, "\n", "")


def test_defects_are_not_hidden() -> None:
    """Only what bad input can cause becomes a line; a defect keeps its traceback."""
    assert not issubclass(AssertionError, failures.expected_errors())
    assert not issubclass(AttributeError, failures.expected_errors())


def test_notes_about_the_photos_go_to_standard_error(likeness: Likeness, tmp_path: Path) -> None:
    (tmp_path / "noted.jpg").write_bytes(b"noted")
    ran = likeness(["--source-image-bytes", "fileb://noted.jpg", *TARGET])
    assert ran.code == 0
    assert json.loads(ran.out)["FaceMatches"] == []
    assert ran.err == "likeness: SourceImage: 3 faces found; the largest was compared\n"


def test_output_off(likeness: Likeness) -> None:
    ran = likeness([*PHOTOS, "--output", "off"])
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_output_of_the_environment(likeness: Likeness) -> None:
    assert likeness([*PHOTOS, "--query", "length(FaceMatches)"], AWS_DEFAULT_OUTPUT="yaml").out == "1\n"
    unknown = likeness(PHOTOS, AWS_DEFAULT_OUTPUT="csv")
    assert (unknown.code, unknown.err) == (255, "\nUnknown output type: csv\n")


def test_version(likeness: Likeness) -> None:
    for arguments in (["--version"], ["--source-image", "x", "--version"], ["--version", "--output", "nonsense"]):
        ran = likeness(arguments)
        assert (ran.code, ran.out, ran.err) == (0, f"likeness {version('likeness')}\n", "")


@pytest.mark.parametrize("arguments", [["help"], ["--help"], ["-h"], ["help", "--output", "text"]])
def test_help(likeness: Likeness, arguments: list[str]) -> None:
    ran = likeness(arguments)
    assert ran.code == 0
    assert ran.err == ""
    for option in OPTIONS:
        assert option.flag in ran.out
        assert option.summary.split(" ")[0] in ran.out
    for word in ("SYNOPSIS", "EXAMPLES", "EXIT CODES", "252", "LIKENESS_S3_DIRECTORY"):
        assert word in ran.out


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_help_fits_the_terminal(columns: int) -> None:
    prose = page.text(columns).split("PHOTOS")[0]
    assert max(len(line) for line in prose.splitlines()[2:]) <= columns


def test_objects_from_a_folder(likeness: Likeness, tmp_path: Path) -> None:
    """LIKENESS_S3_DIRECTORY, as on the server: names are paths below it and cannot leave it."""
    (tmp_path / "objects" / "people").mkdir(parents=True)
    (tmp_path / "objects" / "people" / "a.jpg").write_bytes(b"group")
    folder = {"LIKENESS_S3_DIRECTORY": str(tmp_path / "objects")}
    ran = likeness(["--source-image", "S3Object={Bucket=photos,Name=people/a.jpg}", *TARGET], **folder)
    assert ran.code == 0, ran.err
    assert len(json.loads(ran.out)["FaceMatches"]) == 2
    for name in ("people/none.jpg", "../test.jpg"):
        refused = likeness(
            ["--source-image", json.dumps({"S3Object": {"Bucket": "photos", "Name": name}}), *TARGET], **folder
        )
        assert refused.code == 254
        assert "(InvalidS3ObjectException)" in refused.err
        assert "\nlikeness: " in refused.err


def test_objects_from_s3(likeness: Likeness, s3: Any) -> None:
    """From any S3, with the user's own credentials, region and profile."""
    ran = likeness(
        ["--source-image", f"S3Object={{Bucket={s3.bucket},Name=a b.jpg}}", *TARGET], AWS_ENDPOINT_URL_S3=s3.url
    )
    assert ran.code == 0, ran.err
    assert len(json.loads(ran.out)["FaceMatches"]) == 2
    missing = likeness(
        ["--source-image", f"S3Object={{Bucket={s3.bucket},Name=x}}", *TARGET], AWS_ENDPOINT_URL_S3=s3.url
    )
    assert missing.code == 254
    assert "Unable to get object metadata from S3. Check object key, region and/or access permissions." in missing.err
    assert "there is no such object" in missing.err


def test_objects_are_read_as_the_user(likeness: Likeness, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--profile, --region, --no-sign-request, --ca-bundle and the timeouts hold for S3 too."""
    from likeness import inprocess

    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text("[profile work]\nregion = eu-north-1\n")
    seen: list[Any] = []
    monkeypatch.setattr(inprocess, "client", lambda *_, stores, **__: seen.append(stores._settings[0]) or 1 / 0)
    options = ["--profile", "work", "--no-sign-request", "--ca-bundle", "mine.pem", "--cli-read-timeout", "0"]
    for arguments in ([], options, [*options, "--region", "ap-south-1"]):
        with pytest.raises(ZeroDivisionError):
            likeness([*PHOTOS, *arguments], AWS_DEFAULT_REGION=None)
    assert [(each.profile, each.region) for each in seen] == [
        (None, None),
        ("work", "eu-north-1"),
        ("work", "ap-south-1"),
    ]
    assert [each.anonymous for each in seen] == [False, True, True]
    assert seen[1].ca_bundle == Path("mine.pem")
    assert (seen[0].read_timeout_seconds, seen[1].read_timeout_seconds) == (60, 3600)


def test_pack(likeness: Likeness, monkeypatch: pytest.MonkeyPatch) -> None:
    """--pack chooses the model pack; one that is not there is said to be missing, with the remedy."""
    from likeness import inprocess
    from likeness.comparer import Comparer

    scripted, packs = inprocess.Comparer, []

    def opened(pack: str, **more: Any) -> Any:
        packs.append(pack)
        return scripted(pack, **more)

    monkeypatch.setattr(inprocess, "Comparer", opened)
    likeness(PHOTOS)
    likeness([*PHOTOS, "--pack", "/packs/mine"])
    assert packs == ["standard", "/packs/mine"]
    monkeypatch.setattr(inprocess, "Comparer", Comparer)
    missing = likeness([*PHOTOS, "--pack", "/packs/mine"], LIKENESS_OFFLINE="1")
    assert missing.code == 253
    assert "/packs/mine" in missing.err
    assert missing.out == ""


def run_alone(*arguments: str, environment: dict[str, str], after: str = "pass") -> "subprocess.CompletedProcess[str]":
    program = f"import sys; {COMMAND}{after}; sys.exit(code)"
    command = [sys.executable, "-c", program, "compare-faces", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


LIGHT = [
    ["--version"],
    ["--generate-cli-skeleton"],
    ["--generate-cli-skeleton", "yaml-input"],
    ["--generate-cli-skeleton", "output", *PHOTOS],
    ["help"],
]


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_start_up_loads_no_engine(environment: dict[str, str], arguments: list[str]) -> None:
    heavy = "('cv2', 'onnxruntime', 'onnx', 'numpy', 'PIL', 'simplejpeg', 'starlette', 'uvicorn', 'rich')"
    after = f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    ran = run_alone(*arguments, environment=environment, after=after)
    assert ran.returncode == 0
    assert ran.stderr == "[]\n"


@pytest.mark.parametrize("arguments", LIGHT[:2], ids=" ".join)
def test_start_up_time(environment: dict[str, str], arguments: list[str]) -> None:
    """Processor time, because other programs share the machine: 0.6 s at most, the best of three."""
    assert min(_processor_seconds(arguments, environment) for _ in range(3)) < 0.6


def _processor_seconds(arguments: list[str], environment: dict[str, str]) -> float:
    before = os.times()
    start = time.perf_counter()
    ran = run_alone(*arguments, environment=environment)
    wall = time.perf_counter() - start
    after = os.times()
    assert ran.returncode == 0
    used = after.children_user - before.children_user + after.children_system - before.children_system
    assert 0 < used <= wall + 0.1
    return used


@pytest.mark.engine
def test_the_real_engine(
    standard_pack: None, portraits: dict[str, Path], environment: dict[str, str], tmp_path: Path
) -> None:
    """One whole run: two photos of one person, the page's JSON, an explanation beside it."""
    environment["LIKENESS_HOME"] = str(store.home())
    ran = run_alone(
        *("--source-image-bytes", f"fileb://{portraits['obama.jpg']}"),
        *("--target-image-bytes", f"fileb://{portraits['obama2.jpg']}"),
        *("--explain", "--overlay", str(tmp_path / "faces.png")),
        environment=environment,
    )
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert [match["Similarity"] >= 80 for match in answer["FaceMatches"]] == [True]
    assert list(answer) == ["SourceImageFace", "FaceMatches", "UnmatchedFaces"]
    assert "source photo" in ran.stderr
    assert "pairs of different people" in ran.stderr
    assert (tmp_path / "faces.png").read_bytes().startswith(b"\x89PNG")
