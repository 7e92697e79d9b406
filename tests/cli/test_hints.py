"""Hints for invalid values fit the value, and never print a photo given in the wrong place."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likeness.cli.hints import base64_hint, photo_hint
from likeness.cli.options import OPTIONS
from likeness.cli.streams import LONGEST_MESSAGE, shortened
from likeness.errors import InvalidImageFormat

from .conftest import ERRORS

Likeness = Callable[..., Any]
TARGET = ["--target-image-bytes", "fileb://one.jpg"]
PHOTO = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 400
TEXT = base64.b64encode(PHOTO).decode()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("me.jpg", "write --source-image-bytes (or --target-image-bytes) fileb://me.jpg"),
        ("Bytes=me.jpg", "fileb://me.jpg"),
        ("Bytes=fileb://me.jpg", "(or --target-image-bytes) fileb://me.jpg"),
        ("Bytes@=fileb://me.jpg", "(or --target-image-bytes) fileb://me.jpg"),
        ("Bytes='file://me.jpg'", "(or --target-image-bytes) fileb://me.jpg"),
        ('{"Bytes": "fileb://me.jpg"}', "(or --target-image-bytes) fileb://me.jpg"),
        ('{"Bytes":"me.PNG"}', "fileb://me.PNG"),
        ("fileb://me.jpg", "(or --target-image-bytes) fileb://me.jpg"),
        ("FILEB://me.jpg", "(or --target-image-bytes) fileb://me.jpg"),
        ("fileb:me.jpg", "(or --target-image-bytes) fileb://me.jpg"),
        ("file:/photos/me.jpg", "(or --target-image-bytes) fileb:///photos/me.jpg"),
        ("file:///photos/me.jpg", "(or --target-image-bytes) fileb:///photos/me.jpg"),
        ("'fileb://me.jpg'", "(or --target-image-bytes) fileb://me.jpg"),
        ('" me.jpg "', "(or --target-image-bytes) fileb://me.jpg"),
        ("@me.jpg", "(or --target-image-bytes) fileb://me.jpg"),
        ("Bytes=@me.jpg", "(or --target-image-bytes) fileb://me.jpg"),
        ("https://example.com/a.jpg", "https:// addresses are not fetched: download the photo"),
        ("Bytes=http://example.com/a.jpg", "http:// addresses are not fetched"),
        ("gs://bucket/a.jpg", "gs:// addresses are not fetched"),
        ("s3://photos/a b/c.jpg", """'{"S3Object": {"Bucket": "photos", "Name": "a b/c.jpg"}}'"""),
        ("S3Object=s3://photos/a.jpg", '"Bucket": "photos", "Name": "a.jpg"'),
        ("S3Object={Bucket=b Name=n}", None),
        ("abcde", None),
        ("a\x00b", None),
        (TEXT, None),
        (TEXT + ".jpg", None),
        ("", None),
    ],
)
def test_hints_fit_the_value(value: str, message: str | None) -> None:
    hint = photo_hint(value)
    assert message is None if hint is None else message is not None and message in hint
    assert hint is None or hint.lower().count("fileb://") <= 1


def test_a_file_without_an_ending_is_known_by_being_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert photo_hint("photo") is None
    (tmp_path / "photo").write_bytes(b"")
    assert photo_hint("photo") == (
        "to compare the photo in that file, write --source-image-bytes (or --target-image-bytes) fileb://photo"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data:image/jpeg;base64," + TEXT, "SourceImage: Bytes is a data URL"),
        (" DATA:;base64," + TEXT, "SourceImage: Bytes is a data URL"),
        ("_9j_4AAB-A==", "SourceImage: Bytes is base64 in the alphabet for URLs"),
        ("iVBORw0KGgo_AAA=", "alphabet for URLs"),
        ("fileb://a.jpg", "SourceImage: to compare the photo in that file"),
        (PHOTO.hex(), "SourceImage: it is hexadecimal digits"),
        (repr(PHOTO), "SourceImage: it is the printed form of an object"),
        (json.dumps(list(PHOTO)), "SourceImage: it is a list of numbers"),
        ("R0lGODlh", None),
        (TEXT, None),
        (f" *{TEXT}*\n", None),
    ],
)
def test_what_a_text_was_is_said_where_its_bytes_are_no_photo(text: str, message: str | None) -> None:
    hint = base64_hint("SourceImage", text)
    assert hint is None if message is None else message in (hint or "")


@pytest.mark.parametrize("at_endpoint", [True, False])
@pytest.mark.parametrize("padding", ["", "A"])
def test_the_evidence_of_a_text_reaches_the_reader(
    likeness: Likeness, endpoint: Any, tmp_path: Path, at_endpoint: bool, padding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the exit code and the text of the original, which drops what is outside the alphabet."""
    (tmp_path / "one.jpg").write_bytes(b"one")
    url = "data:image/gif;base64," + padding + base64.b64encode(b"gif").decode()
    (tmp_path / "data.json").write_text(json.dumps({"SourceImage": {"Bytes": url}}))
    if padding:
        monkeypatch.setitem(ERRORS, base64.b64decode(url), InvalidImageFormat("SourceImage: neither JPEG nor PNG"))
    arguments = ["--cli-input-json", "file://data.json", *TARGET]
    ran = likeness([*arguments, "--endpoint-url", endpoint.url] if at_endpoint else arguments)
    assert ran.code == (254 if padding else 255)
    assert ran.err.splitlines()[1].startswith("An error occurred (InvalidImage" if padding else "Invalid base64")
    assert ran.err.splitlines()[-1].startswith("likeness: SourceImage: Bytes is a data URL.")


@pytest.mark.parametrize("name", [option.name for option in OPTIONS if option.takes_value])
@pytest.mark.parametrize("form", ["base64", "fileb", "file", "member", "lines"])
def test_a_photo_in_the_wrong_place_is_not_printed(likeness: Likeness, tmp_path: Path, name: str, form: str) -> None:
    (tmp_path / "one.jpg").write_bytes(b"one")
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    (tmp_path / "photo.b64").write_text(TEXT)
    lines = "\n".join(TEXT[start : start + 76] for start in range(0, 60_000, 76))
    values = {
        "base64": TEXT[:100_000],
        "fileb": "fileb://photo.jpg",
        "file": "file://photo.b64",
        "member": f"S3Object={{Bucket={TEXT[:60_000]},Name=a}}",
        "lines": lines,
    }
    ran = likeness(["--source-image-bytes", "fileb://one.jpg", *TARGET, f"--{name}={values[form]}"])
    assert "Traceback" not in ran.err
    assert len(ran.err) < 2 * LONGEST_MESSAGE
    assert TEXT[2000:2100] not in ran.err
    assert lines[3000:3100] not in ran.err


def test_what_is_short_is_printed_as_it_is() -> None:
    text = "Error parsing parameter '--source-image': Expected: '=', received: 'EOF' for input:\none.jpg\n       ^"
    assert shortened(text) == text
    assert shortened("x" * 300) == "x" * 300
    assert shortened("x" * 301) == "x" * 300 + "... (301 characters)"
    assert (
        shortened(f"value: {PHOTO[:5000]!r}, type")
        == f"value: {repr(PHOTO)[:20]}...' ({len(repr(PHOTO[:5000]))} characters), type"
    )
