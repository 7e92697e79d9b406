"""The shorthand of --source-image and --target-image."""

from fuzz.target import Target
from likeness.cli.shorthand import ShorthandError, parse_shorthand


def run(data: bytes) -> None:
    """Parses text; the shell may pass bytes that are no UTF-8."""
    assert isinstance(parse_shorthand(data.decode("utf-8", "surrogateescape")), dict)


TARGET = Target(
    run,
    # The command reports both (`likeness.cli.failures`).
    (ShorthandError, RecursionError),
    lambda: [
        b"S3Object={Bucket=photos,Name='a b.jpg',Version=1}",
        b'a=1,2,b="x\\"y",c=[1,{d=e}],f@=file',
        b"Bytes=/9j/4AAQ==",
    ],
    tokens=(
        b"S3Object=",
        b"Bucket=",
        b"{",
        b"}",
        b"[",
        b"]",
        b"@=",
        b"\\,",
        b"'",
        b'"',
        b"\\'",
        b"\t",
        b"\xf0\x9f\x98\x80",
    ),
)
