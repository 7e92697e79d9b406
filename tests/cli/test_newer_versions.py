"""Syntax of newer versions of AWS CLI than the version 2 of `test_oracle`: one table, each row tested.

If the newer version 1 of the test dependencies accepts it too, the answers must be the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

Oracle = Callable[..., Any]
TARGET = ("--target-image-bytes", "fileb://one.jpg")


@dataclass(frozen=True)
class Newer:
    """A command line that older versions refuse: since which version 2 it is taken, and where it was asked for."""

    name: str
    since: str
    issue: str
    arguments: tuple[str, ...]
    in_version_1: bool = True


NEWER = [
    Newer("file as a member", "2.20", "aws/aws-cli#9012", ("--source-image", "Bytes@=fileb://group.jpg", *TARGET)),
    Newer("spaces around", "2.20", "aws/aws-cli#9012", ("--source-image", "Bytes @= fileb://group.jpg", *TARGET)),
    Newer("quoted name", "2.20", "aws/aws-cli#9012", ("--source-image", "Bytes@='fileb://a, b.jpg'", *TARGET)),
    Newer(
        "base64 in a file as a member",
        "2.20",
        "aws/aws-cli#9012",
        ("--source-image", "Bytes@=file://group.b64", *TARGET),
        in_version_1=False,  # which reads Bytes as they are
    ),
    Newer(
        "file as a member of a member",
        "2.20",
        "aws/aws-cli#9012",
        ("--source-image", "S3Object={Bucket@=file://bucket.txt,Name@=name}", *TARGET),
    ),
    Newer("no such file", "2.20", "aws/aws-cli#9012", ("--source-image", "Bytes@=fileb://none.jpg", *TARGET)),
]


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    for name, content in {
        "one.jpg": b"one",
        "group.jpg": b"group",
        "a, b.jpg": b"group",
        "group.b64": b"Z3JvdXA=\n",
        "bucket.txt": b"bucket",
    }.items():
        (tmp_path / name).write_bytes(content)


@pytest.mark.parametrize("newer", NEWER, ids=lambda newer: newer.name)
def test_newer(
    newer: Newer, version_1: Oracle, likeness: Oracle, endpoint: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    at_endpoint = [*newer.arguments, "--endpoint-url", endpoint.url]
    ran = likeness(at_endpoint)
    if newer.in_version_1:
        original = version_1(["rekognition", "compare-faces", *at_endpoint], environment, tmp_path)
        assert ran.out == original.out
        assert (ran.code == 0) == (original.code == 0)
    else:
        assert ran.code == 0
        assert '"FaceMatches"' in ran.out
    if newer.name == "no such file":
        assert "Unable to load paramfile fileb://none.jpg" in ran.err
