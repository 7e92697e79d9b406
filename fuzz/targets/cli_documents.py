"""--cli-input-json and --cli-input-yaml, and images as JSON: options to parameters."""

from argparse import Namespace

from fuzz.target import Target
from likeness.cli.failures import ArgumentsError, Base64Error
from likeness.cli.parameters import call_parameters, decode_base64

NAMES = ("cli_input_json", "cli_input_yaml", "source_image", "target_image_bytes")
REST = ("target_image", "source_image_bytes", "similarity_threshold", "quality_filter")


def run(data: bytes) -> None:
    """The first byte selects the option."""
    options = dict.fromkeys((*NAMES, *REST))
    text, is_of_fileb = data[1:].decode("utf-8", "surrogateescape"), data[:1] > b"\x7f"
    if text.startswith("file") and not is_of_fileb:
        return
    options[NAMES[data[0] % 4 if data else 0]] = data[1:] if is_of_fileb else text
    decode_base64(call_parameters(Namespace(**options)))


def seeds() -> list[bytes]:
    """Documents for each option."""
    json = b'{"SourceImage": {"Bytes": "/9j/4AAQ"}, "TargetImage": {"S3Object": {"Bucket": "b", "Name": "n"}}}'
    yaml = (
        b"SourceImage: &a\n  Bytes: !!binary /9j/4A==\nTargetImage: *a\nSimilarityThreshold: 0o17\nQualityFilter: ~\n"
    )
    more = b"a: {x: .inf, <<: {y: 2001-12-14t21:59:43.10-05:00}}\n? [1, 2]\n: |\n  text\n--- \n"
    return [b"\0" + json, b"\1" + yaml, b"\1" + more, b"\2" + json, b"\3/9j/4AAQ", b"\x81" + yaml]


TARGET = Target(
    run,
    # A TypeError where an image is the bytes of a file; RecursionError too is reported (`likeness.cli.failures`).
    (ArgumentsError, Base64Error, TypeError, RecursionError),
    seeds,
    tokens=(
        *(b"!!binary ", b"!!timestamp ", b"!!set", b"!!python/object:os.system", b"&a ", b"*a", b"<<: ", b"? ", b"- "),
        *(
            b"0x_",
            b"0b",
            b"1__",
            b"+.inf",
            b"2001-1-1",
            b"2001-13-41",
            b"0001-01-01 00:00:00 -23",
            b"%YAML 9.9\n",
            b"\t",
        ),
        *(b'{"SourceImage":', b'"Bytes":', b"|\n", b">-\n", b"#", b"\xef\xbb\xbf", b"\xc2\x85"),
    ),
)
