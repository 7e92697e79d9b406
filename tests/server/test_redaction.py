"""No photo in a log, wherever a client puts it."""

import base64
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from likeness.aws.quoting import MOST
from likeness.server import redaction
from likeness.server.redaction import MAX_TEXT, redact, redact_all

from .conftest import HEADERS, Running, Serve, s3_body, wait_for

PHOTO = random.Random(1).randbytes(3000)
ENCODED = base64.b64encode(PHOTO).decode()


@pytest.mark.parametrize(
    "text",
    [
        ENCODED,
        base64.urlsafe_b64encode(PHOTO).decode(),
        PHOTO.hex(),
        quote(ENCODED, safe=""),
        f"Value '{ENCODED[:128]}...' at 'qualityFilter' failed",
        f"s3://bucket/{ENCODED[5:900]}",
        base64.encodebytes(PHOTO).decode(),
        "s3://bucket/" + base64.encodebytes(PHOTO).decode().replace("\n", " "),
        str(list(PHOTO)),
        PHOTO.hex(":"),
        " ".join(map(hex, PHOTO)),
        "".join(f"%{each:02X}" for each in PHOTO[:42]),
        "\n".join(ENCODED[start : start + 36] for start in range(0, len(ENCODED), 36)),
        PHOTO.hex()[:150],
        quote(PHOTO[176:228], safe="").lower(),
        "".join(f"\\x{each:02x}" for each in PHOTO[:40]),
        "".join(f"\\u{each:04x}" for each in PHOTO[:30]),
        base64.b85encode(PHOTO).decode(),
        PHOTO.decode("latin-1"),
        PHOTO.decode("utf-8", "replace"),
    ],
)
def test_data_is_named_and_not_shown(text: str) -> None:
    shown = redact(text)
    assert "characters" in shown
    assert all(text[start : start + 50] not in shown for start in range(len(text) - 50))


def test_a_redacted_text_is_cut_at_its_limit_and_no_earlier() -> None:
    """Data cut short before it is found could pass as a name."""
    assert redact("a word " * 1000) == ("a word " * 1000)[:MAX_TEXT]
    assert ENCODED[:12] not in redact("a word " * 68 + ENCODED)


#: Octets without regularity, as those of a compressed picture are.
PIECES = [base64.b64encode(random.Random(seed).randbytes(100)).decode() for seed in range(200)]


@pytest.mark.parametrize("length", [40, 60, 99])
def test_pieces_of_data_are_not_shown_either(length: int) -> None:
    """A piece without its beginning looks like data or like a name: nearly always like data."""
    shown = [piece[:length] in redact(f"s3://bucket: {piece[:length]} is no name") for piece in PIECES]
    assert sum(shown) < len(PIECES) // 10


@pytest.mark.parametrize("start", [b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00"])
def test_the_beginning_of_a_photo_is_not_shown_however_short(start: bytes) -> None:
    for text in (base64.b64encode(start).decode(), base64.urlsafe_b64encode(start).decode(), start.hex()):
        for quoted in (text, f"'{text}'", f"s3://bucket/{text}"):
            shown = redact(f"a name like {quoted} is refused")
            assert text[:10] not in shown
            assert shown.startswith("a name like ")
            assert shown.endswith(" is refused")


@pytest.mark.parametrize(
    "text",
    [
        "a" * 40,
        "photos/550e8400-e29b-41d4-a716-446655440000/IMG_20240512_101112.JPG",
        "s3://my-bucket/users/AbcDef/2024/05/12/PXL_20240512_101112345.PORTRAIT.jpg",
        "getCustomerPhotoFromTheArchiveOfTheYear2023ForComparison",
        "arn:aws:rekognition:us-east-1:000000000000:collection/CustomerPortraits2024",
        "customers/2024/05/12/portraits/large/of_somebody_with_a_long_name/and_more/2024-05-12T10.jpg",
        "0123456789abcdef" * 8,
        "Boto3/1.40.1 md/Botocore#1.40.1 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.11.7 cfg/retry-mode#legacy",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
        "fotos/Jürgen Müller, 2024-05-12 10:11:12.jpg",
        "::ffff:10.0.0.1, 2001:db8:85a3:8d3:1319:8a2e:370:7348, 10.0.0.2",
        "Credential should be scoped to a valid region, not 'x'.",
    ],
)
def test_names_are_shown(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "value",
    [
        b"\xffJFIF, with a comment and more of what can be read",
        [0.0123456, -1.5e-3, 98.76543],
        {"X": 0.3123456, "Y": 0.4567891},
        "similarity 98.765432",
    ],
)
def test_octets_and_measures_in_the_text_of_an_exception_are_not_shown(value: object) -> None:
    shown = redact(f"wrong value: {value!r} (of 2)")
    assert shown.startswith("wrong value: ")
    assert shown.endswith("(of 2)")
    for quoted in ("comment", "read", "0.01", "1.5", "98.7", "0.31", "0.45"):
        assert quoted not in shown


def test_records_are_redacted_in_all_their_parts() -> None:
    record = {"a": [ENCODED, {"b": (ENCODED, 3, None)}], "c": "name"}
    redacted = redact_all(record)
    assert ENCODED[:20] not in str(redacted)
    assert redacted["c"] == "name"
    assert redacted["a"][1]["b"][1:] == [3, None]


@pytest.mark.parametrize(
    "piece", ["a", "a ", "1,", "A" * 31 + " ", "A" * 40 + "\t", "%41", "'", "\u00e4", "12 ", "1", "1.1", "b'"]
)
def test_redaction_takes_time_in_proportion(piece: str) -> None:
    begun = time.process_time()
    redact(piece * 64 * 1024)
    assert time.process_time() - begun < 0.5


#: A photo, and pieces of it that look like names.
VALUES = [ENCODED, ENCODED[1000:1040], PHOTO.hex()[200:300], "'".join(ENCODED[n : n + 33] for n in range(0, 1000, 33))]
Send = Callable[[Running, str], object]


def in_member(name: str) -> Send:
    def send(server: Running, value: str) -> None:
        members = {"SourceImage": {"Bytes": ENCODED}, "TargetImage": {"Bytes": ENCODED}}
        s3_object = {"Bucket": "bucket", "Name": "name"}
        if name in ("Bucket", "Name", "Version"):
            members["SourceImage"] = {"S3Object": s3_object | {name: value[:1000]}}  # type: ignore[dict-item]
        else:
            members[name] = value  # type: ignore[assignment]
        server.request(json.dumps(members).encode())

    return send


def in_header(name: str, before: str = "") -> Send:
    return lambda server, value: server.request(b"{}", HEADERS | {name: before + value})


@pytest.fixture(scope="module")
def logging_server(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> tuple[Running, Path]:
    audit = tmp_path_factory.mktemp("audit") / "audit"
    (audit.parent / "none").mkdir()
    flags = ["--audit-log", str(audit), "--trusted-proxies", "*", "--s3-directory", str(audit.parent / "none")]
    server = serve(*flags, "--keys", str(audit.parent / "keys"))
    server.wait_ready()
    return server, audit


@pytest.mark.parametrize("value", VALUES, ids=["photo", "base64", "hex", "quotes"])
@pytest.mark.parametrize(
    "send",
    [
        *[
            in_member(name)
            for name in ("QualityFilter", "SimilarityThreshold", "Bucket", "Name", "Version", "TargetImage")
        ],
        *[
            in_header(name)
            for name in ("User-Agent", "X-Amz-Target", "Content-Type", "Authorization", "Origin", "Host")
        ],
        in_header("X-Forwarded-For"),
        in_header("User-Agent", "Boto3/"),
        lambda server, value: server.request(b"{}", path="/" + value),
        lambda server, value: server.request(b"{}", path="/?" + value),
        lambda server, value: server.request(b"{}", method=value[:200].translate({47: 45, 61: 45})),
        lambda server, value: server.request(b"{}", HEADERS | {value[:200].translate({47: 45, 61: 45}): "x"}),
        lambda server, value: server.request(value.encode()),
        lambda server, value: server.request(f'{{"{value}": 1}}'.encode()),
    ],
)
def test_a_value_of_a_caller_is_in_no_log_beyond_its_ends(
    logging_server: tuple[Running, Path], send: Send, value: str
) -> None:
    server, audit = logging_server
    send(server, value)
    assert server.log()
    wait_for(lambda: 'likeness_log_queue_length{log="audit log"} 0.0' in server.get("/metrics").body.decode())
    written = (server.folder / "stdout").read_text() + server.errors + audit.read_text()
    for form in (value, value.translate({47: 45, 61: 45})):
        assert all(form[start : start + MOST + 1] not in written for start in range(len(form) - MOST))


def test_the_name_of_an_object_that_is_there_is_in_the_audit_log(logging_server: tuple[Running, Path]) -> None:
    server, audit = logging_server
    name = "a-portrait-with-a-name-of-more-than-so-many-characters.jpg"
    (audit.parent / "none" / name).write_bytes(b"photo")
    assert server.request(s3_body(name)).status == 200
    wait_for(lambda: name in audit.read_text())


def test_texts_that_recur_are_redacted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a long text of an error takes no longer than a short one."""
    text = f"the signature of {ENCODED[:100]} does not match"
    shown = redact(text)
    monkeypatch.setattr(redaction, "hide_data", lambda _: "redacted again")
    assert redact(text) == shown
    assert redact(text, limit=5) == shown[:5]


def test_lone_surrogates_are_digested_as_well() -> None:
    assert "characters of data" in redact("\ud800" * 250)
