"""Texts for logs: callers' values and libraries' messages, from which data is removed."""

from fuzz.target import Target
from likeness.aws.quoting import brief
from likeness.server.redaction import MAX_TEXT, redact, redact_all


def run(data: bytes) -> None:
    """Any text is shortened, with octets that are no UTF-8 and with lone surrogates."""
    text = data.decode(
        "utf-8", "surrogateescape" if len(data) % 2 else "surrogatepass" if b"\xed" in data else "replace"
    )
    assert len(redact(text)) <= MAX_TEXT + 100
    redact_all({"a": [text, 1, None]})
    brief(text)


def seeds() -> list[bytes]:
    """Data in several notations."""
    return [
        b"/9j/4AAQSkZJRgABAQAAAQABAAD" * 5,
        b"255, 216, 255, 224, " * 12,
        b"\\xff\\xd8\\xff\\xe0" * 8,
        b"a message about s3://photos/a/b/c.jpg with \xed\xa0\x80" + b"x" * 250,
    ]


TARGET = Target(
    run, (UnicodeDecodeError,), seeds, tokens=(b"\\u00ff", b"0x", b"%2F", b"iVBORw0KGgo", b"\xed\xa0\x80", b"1,")
)
