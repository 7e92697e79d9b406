"""The same arguments to AWS CLI version 2 and to `likeness compare-faces`, with and without an endpoint.

Standard output is the same byte for byte, and so are exit code and error text. Without an endpoint, lines that begin
with `likeness:` may follow on standard error, with reasons that the service does not give.
"""

import base64
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


ONE, GROUP = encoded(b"one"), encoded(b"group")
FILES: dict[str, bytes] = {
    "one.jpg": b"one",
    "group.jpg": b"group",
    "bare.jpg": b"bare",
    "nobody.jpg": b"nobody",
    "faceless.jpg": b"faceless",
    "picture.gif": b"gif",
    "huge.jpg": b"huge",
    "binary.jpg": b"\xff\xd8\xff\xfe\x80",
    "empty.jpg": b"",
    "one.b64": ONE.encode() + b"\n",
    "image.json": json.dumps({"Bytes": ONE}).encode(),
    "input.json": json.dumps(
        {"SourceImage": {"Bytes": GROUP}, "TargetImage": {"Bytes": ONE}, "SimilarityThreshold": 50}
    ).encode(),
    "input.yaml": f"SourceImage:\n  Bytes: !!binary {GROUP}\nTargetImage: {{Bytes: '{ONE}'}}\n".encode(),
    "numbers.yaml": f"SourceImage: {{Bytes: {GROUP}}}\nTargetImage: {{Bytes: {ONE}}}\nSimilarityThreshold: 1e1\n"
    "QualityFilter: NO\n".encode(),
    "duplicate.yaml": b"SourceImage: {}\nSourceImage: {}\n",
    "list.yaml": b"- 1\n",
    "empty.yaml": b"",
    "octal.yaml": f"SourceImage: {{Bytes: {GROUP}}}\nTargetImage: {{Bytes: {ONE}}}\n"
    "SimilarityThreshold: 017\n".encode(),
}
PHOTOS = ["--source-image-bytes", "fileb://one.jpg", "--target-image-bytes", "fileb://one.jpg"]
TWO = ["--source-image-bytes", "fileb://group.jpg", "--target-image-bytes", "fileb://one.jpg"]
BARE = ["--source-image-bytes", "fileb://bare.jpg", "--target-image-bytes", "fileb://one.jpg"]
NOBODY = ["--source-image-bytes", "fileb://nobody.jpg", "--target-image-bytes", "fileb://one.jpg"]
TARGET = ["--target-image-bytes", "fileb://one.jpg"]


@dataclass(frozen=True)
class Case:
    """A command line; `anywhere` says that it must be answered alike without an endpoint too."""

    name: str
    arguments: tuple[str, ...]
    anywhere: bool = True


def case(name: str, *arguments: str, anywhere: bool = True) -> Case:
    return Case(name, arguments, anywhere)


ANSWERED = [
    *(
        case(f"{output} of {kind}", *photos, "--output", output)
        for output in ("json", "yaml", "text", "table", "yaml-stream")
        for kind, photos in (("group", TWO), ("bare", BARE))
    ),
    *(
        case(f"{output} of {query}", *TWO, "--output", output, "--query", query)
        for output in ("json", "yaml", "text", "table")
        for query in (
            "FaceMatches[].[Similarity]",
            "{best: FaceMatches[0].Similarity, yes: 'née', box: SourceImageFace.BoundingBox}",
        )
    ),
    case("nobody", *NOBODY),
    case("nothing picked", *TWO, "--query", "Nothing"),
    case("no colour", *TWO, "--output", "table", "--color", "off"),
    case("colour", *TWO, "--output", "table", "--color", "on"),
    case("colour auto", *TWO, "--output", "table", "--color", "auto"),
    case("shorthand", "--source-image", f"Bytes={GROUP}", "--target-image", f"Bytes='{ONE}'"),
    case(
        "shorthand of S3", "--source-image", "S3Object={Bucket=bucket,Name=a b.jpg,Version=1}", *TARGET, anywhere=False
    ),
    case("json", "--source-image", json.dumps({"Bytes": GROUP}), "--target-image", json.dumps({"Bytes": ONE})),
    case("image from a file", "--source-image", "file://image.json", *TARGET),
    case("base64 from a file", "--source-image-bytes", "file://one.b64", *TARGET),
    case("base64 in place", "--source-image-bytes", GROUP, *TARGET),
    case("lenient base64", "--source-image-bytes", f" *{GROUP}*", *TARGET),
    case("raw bytes", "--source-image-bytes", "group", *TARGET, "--cli-binary-format", "raw-in-base64-out"),
    case("raw bytes by profile", "--source-image-bytes", "group", *TARGET, "--profile", "raw"),
    case("base64 format", "--source-image-bytes", GROUP, *TARGET, "--cli-binary-format", "base64"),
    case("input document", "--cli-input-json", "file://input.json"),
    case("input in place", "--cli-input-json", FILES["input.json"].decode()),
    case("option over input", "--cli-input-json", "file://input.json", "--source-image-bytes", "fileb://one.jpg"),
    case("both on one image", "--source-image", f"Bytes={ONE}", "--source-image-bytes", "fileb://group.jpg", *TARGET),
    case("yaml document", "--cli-input-yaml", "file://input.yaml"),
    case("yaml numbers", "--cli-input-yaml", "file://numbers.yaml", "--quality-filter", "NONE"),
    case("yaml 1.2 integers", "--cli-input-yaml", "file://octal.yaml"),
    case("threshold", *TWO, "--similarity-threshold", "50"),
    case("quality filter", *TWO, "--quality-filter", "HIGH"),
    case("quality filter of a file", *TWO, "--quality-filter", "file://word.txt"),
    case("no paginate", *TWO, "--no-paginate"),
    case("no pager", *TWO, "--no-cli-pager"),
    case("no prompt", *TWO, "--no-cli-auto-prompt"),
    case("timeouts", *TWO, "--cli-read-timeout", "0", "--cli-connect-timeout", "7"),
    case("unsigned", *TWO, "--no-sign-request"),
    case("region", *TWO, "--region", "ap-south-1"),
    case("profile", *TWO, "--profile", "work"),
    case("no certificate check", *TWO, "--no-verify-ssl"),
    case("abbreviated", *TWO, "--out", "text", "--similarity", "10"),
    case("equals sign", "--source-image-bytes=fileb://group.jpg", *TARGET, "--output=text"),
    case("last one wins", *TWO, "--output", "json", "--output", "text"),
    case("skeleton", "--generate-cli-skeleton"),
    case("skeleton of input", "--generate-cli-skeleton", "input", "--output", "text"),
    case("skeleton of yaml", "--generate-cli-skeleton", "yaml-input"),
    case("skeleton of output", *TWO, "--generate-cli-skeleton", "output"),
    case(
        "skeleton of output, queried",
        *TWO,
        "--generate-cli-skeleton",
        "output",
        "--output",
        "text",
        "--query",
        "FaceMatches",
    ),
]

REFUSED = [
    case("nothing"),
    case("one photo", *TARGET),
    case("unknown option", *PHOTOS, "--face-count", "3"),
    case("unknown options", *PHOTOS, "--foo", "--bar=1"),
    case("stray word", *PHOTOS, "stray"),
    case("missing value", *PHOTOS, "--region"),
    case("missing value of the operation", "--source-image"),
    case("ambiguous", *PHOTOS, "--cli", "1"),
    case("bad threshold", *PHOTOS, "--similarity-threshold", "high"),
    case("negative threshold", *PHOTOS, "--similarity-threshold", "-1"),
    case("threshold over 100", *PHOTOS, "--similarity-threshold", "100.5"),
    case("bad filter", *PHOTOS, "--quality-filter", "BEST"),
    case("bad colour", *PHOTOS, "--color", "blue"),
    case("bad binary format", *PHOTOS, "--cli-binary-format", "hex"),
    case("bad skeleton", *PHOTOS, "--generate-cli-skeleton", "inputs"),
    case("bad query", *PHOTOS, "--query", "FaceMatches["),
    case("bad query function", *PHOTOS, "--query", "nonsense(FaceMatches)"),
    case("bad query type", *PHOTOS, "--query", "length(`5`)"),
    case("bad timeout", *PHOTOS, "--cli-read-timeout", "soon"),
    case("bad profile", *PHOTOS, "--profile", "nobody"),
    case("bad shorthand", "--source-image", "one.jpg", *TARGET),
    case("bad shorthand inside", "--source-image", "S3Object={Bucket=a Name=b}", *TARGET),
    case("shorthand twice", "--source-image", "Bytes=a,Bytes=b", *TARGET),
    case("empty shorthand", "--source-image", "", *TARGET),
    case("bad json", "--source-image", '{"Bytes": }', *TARGET),
    case("json list", "--source-image", "[1]", *TARGET),
    case("unknown member", "--source-image", "Picture=a", *TARGET),
    case("wrong member type", "--source-image", '{"S3Object": "b"}', *TARGET),
    case("object for bytes", "--source-image", '{"Bytes": {"a": 1}}', *TARGET),
    case("short bucket", "--source-image", "S3Object={Bucket=b,Name=n}", *TARGET),
    case("no image member", "--source-image", "{}", *TARGET),
    case(
        "both members",
        "--source-image",
        "S3Object={Bucket=bucket,Name=n}",
        "--source-image-bytes",
        "fileb://one.jpg",
        *TARGET,
    ),
    case("no such file", "--source-image-bytes", "fileb://none.jpg", *TARGET),
    case("no such document", "--cli-input-json", "file://none.json"),
    case("photo as text", "--source-image-bytes", "file://binary.jpg", *TARGET),
    case("empty photo", "--source-image-bytes", "fileb://empty.jpg", *TARGET),
    case("folder", "--source-image-bytes", "fileb://.", *TARGET),
    case("bad base64", "--source-image-bytes", "abcde", *TARGET),
    case("not ascii", "--source-image-bytes", "é", *TARGET),
    case("file name without fileb", "--source-image-bytes", "one.jpg", *TARGET),
    case("bad input document", "--cli-input-json", "{"),
    case("input list", "--cli-input-json", "[]"),
    case("bad yaml", "--cli-input-yaml", "{"),
    case("yaml list", "--cli-input-yaml", "file://list.yaml"),
    case("empty yaml", "--cli-input-yaml", "file://empty.yaml"),
    case("duplicate key", "--cli-input-yaml", "file://duplicate.yaml"),
    case("yaml key that is no text", "--cli-input-yaml", "null: 2"),
    case("yaml key of a photo that is no text", "--cli-input-yaml", "SourceImage: {null: 2}"),
    case("both documents", "--cli-input-json", "{}", "--cli-input-yaml", "{}"),
    case("skeleton of output without photos", "--generate-cli-skeleton", "output"),
    case("both prompts", "--cli-auto-prompt", "--no-cli-auto-prompt"),
    case("no face", "--source-image-bytes", "fileb://faceless.jpg", *TARGET),
    case("gif", "--source-image-bytes", "fileb://picture.gif", *TARGET),
    case("too large", "--source-image-bytes", "fileb://huge.jpg", *TARGET),
    case("file as structure", "--source-image", "fileb://one.jpg", *TARGET),
]

#: Where our text may differ from the original's, and why: what it says, what we say.
DIFFERENCES: tuple[tuple[str, str], ...] = (
    # The program's name and the shape of its command line.
    (
        "usage: aws [options] <command> <subcommand> [<subcommand> ...] [parameters]",
        "usage: likeness compare-faces [options]",
    ),
    (
        "  aws help\n  aws <command> help\n  aws <command> <subcommand> help\n",
        "  likeness help\n  likeness compare-faces help\n",
    ),
    ("aws: error:", "likeness: error:"),
    # The bytes of a photo as a structure: the original fails on the type of a character.
    (
        "'in <string>' requires string as left operand, not int",
        "--source-image takes shorthand or JSON, not the bytes of a file; use --source-image-bytes for a photo",
    ),
)

Oracle = Callable[..., Any]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, home: Path) -> None:
    """The files that the cases name, and a configuration with a profile."""
    for name, content in {**FILES, "word.txt": b"LOW"}.items():
        (tmp_path / name).write_bytes(content)
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(
        "[profile work]\nregion = eu-north-1\noutput = text\naws_access_key_id = AK\naws_secret_access_key = secret\n"
        "[profile raw]\ncli_binary_format = raw-in-base64-out\naws_access_key_id = AK\naws_secret_access_key = secret\n"
    )


def expected_text(original: str) -> str:
    for theirs, ours in DIFFERENCES:
        original = original.replace(theirs, ours)
    return original


def without_remarks(text: str) -> str:
    return "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith("likeness: ") or "error:" in line
    )


@pytest.mark.parametrize("case", [*ANSWERED, *REFUSED], ids=lambda case: case.name)
def test_as_version_2(
    case: Case, version_2: Oracle, likeness: Oracle, endpoint: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    at_endpoint = ["--endpoint-url", endpoint.url]
    original = version_2(["rekognition", "compare-faces", *case.arguments, *at_endpoint], environment, tmp_path)
    # Debian's version 2 runs on Python 3.11; from 3.12 on, Python writes an OrderedDict in another way.
    told = expected_text(original.err).replace("OrderedDict([('a', 1)])", repr(OrderedDict(a=1)))
    expected = (original.code, original.out, told)
    remote = likeness([*case.arguments, *at_endpoint])
    assert (remote.code, remote.out, without_remarks(remote.err)) == expected
    if case.anywhere:
        local = likeness(list(case.arguments))
        assert (local.code, local.out, without_remarks(local.err)) == expected


#: What version 1 answers in the same way; it has no YAML and reads Bytes as they are (specification section 6.3).
OF_VERSION_1 = (
    *(f"{output} of {kind}" for output in ("json", "text", "table") for kind in ("group", "bare")),
    *(f"{output} of FaceMatches[].[Similarity]" for output in ("json", "text", "table")),
    "nobody",
    "no face",
    "gif",
    "threshold over 100",
    "bad filter",
)


@pytest.mark.parametrize(
    "case", [case for case in [*ANSWERED, *REFUSED] if case.name in OF_VERSION_1], ids=lambda case: case.name
)
def test_as_version_1(
    case: Case, version_1: Oracle, likeness: Oracle, endpoint: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    """The same output; version 1 ends with 255 on every error."""
    arguments = [*case.arguments, "--endpoint-url", endpoint.url]
    original = version_1(["rekognition", "compare-faces", *arguments], environment, tmp_path)
    ran = likeness(arguments)
    assert ran.out == original.out
    assert (ran.code == 0) == (original.code == 0)
    assert ran.err.strip() == original.err.strip().removeprefix("aws: [ERROR]: ")
