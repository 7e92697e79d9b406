"""The manifest of a model pack (TOML): an untrusted pack is a folder with one."""

from fuzz.target import Target
from likeness.errors import PackInvalid
from likeness.packs.manifest import parse_manifest
from likeness.packs.store import CATALOGUE
from likeness.packs.tables import to_toml

SMALL = b"""[pack]
name = "own"
version = "1"
[files."a.onnx"]
sha256 = "%s"
size = 3
source = { file = "b.bin", sha256 = "%s", converter = "yunet" }
[roles.detector]
file = "a.onnx"
family = "yunet"
[roles.embedder]
file = "a.onnx"
family = "embedder"
size_px = 112
mean = [127.5, 127.5, 127.5]
scale = 128.0
template = [[38, 51], [73, 51], [56, 71], [41, 92], [70, 92]]
views = [{ points = "mesh", mirror = true }]
[scoring]
method = "normalised"
nearest = 10
files = { cohort = "a.onnx" }
[calibration]
scores = [0.1, 0.2, 0.3]
log10_rates = [-1.0, -2.0, -3.0]
equal_error_rate = 0.01
measured_log10_rate = -4.0
[quality.low]
sharpness = 1
[[accuracy]]
measure = "FNMR"
data = "own"
value = 0.1
""" % (b"0" * 64, b"1" * 64)


def run(data: bytes) -> None:
    """Parses it; what is accepted has the parts that an engine reads, and is written and read back the same."""
    manifest = parse_manifest(data, described_as="own")
    if manifest.roles:
        assert manifest.embedder_input().aligner is not None
    if manifest.calibration is not None:
        for score in (-1e9, 0.0, 0.15, 1e9):
            assert 0 <= manifest.calibration.similarity(score) <= 100
    try:
        text = to_toml(manifest.table)
    except TypeError:
        return  # dates, which a manifest of Likeness does not have
    again = parse_manifest(text.encode(), described_as="own")
    assert repr(again.table) == repr(manifest.table)


TARGET = Target(
    run,
    (PackInvalid,),
    lambda: [SMALL, *(path.read_bytes()[:4096] for path in sorted(CATALOGUE.glob("*.toml")))],
    tokens=(
        *(b"[roles.mesh]\n", b"[roles.expression]\n", b"[quality.high]\n", b"[[accuracy]]\n", b"[distributions.x]\n"),
        *(
            b"inf",
            b"nan",
            b"-0.0",
            b"1e400",
            b"9" * 400,
            b"1979-05-27T07:32:00Z",
            b'"""',
            b"'''",
            b"true",
            b"{}",
            b"[]",
        ),
        *(
            b"scores = ",
            b"views = ",
            b"template = ",
            b'colour = "bgr"\n',
            b'lengths = "certainty"\n',
            b"\\u0000",
            b"\x7f",
        ),
    ),
    max_bytes=8192,
)
