"""The TOML file with a server's settings."""

from fuzz.formats import file_of
from fuzz.target import Target
from likeness.errors import SettingsError
from likeness.server.configuration import SETTINGS, configure, in_force


def run(data: bytes) -> None:
    """The settings in effect, and their table."""
    for row in in_force(configure({"config": str(file_of(data, "likeness.toml"))}, {})):
        "\t".join(row).encode("utf-8", "surrogateescape")


def seeds() -> list[bytes]:
    """Settings of every type."""
    plain = b'host = "127.0.0.1"\nport = 8080\nworkers = 2\nregions = ["us-east-1"]\nauth = "none"\nmetrics = true\n'
    rates = b"rate_per_second = 1.5\nburst = 3\nmin_face_size_px = 40\nthreads = 2\n"
    return [
        plain,
        rates,
        b'[s3]\nregion = "eu-west-1"\n[[s3.buckets]]\npattern = "a*"\nendpoint_url = "http://localhost:9000"\n',
        b'log_requests = "all"\ntrusted_proxies = ["10.0.0.1"]\ncors = ["https://a.example"]\npath_prefix = "/a"\n',
    ]


TARGET = Target(
    run,
    (SettingsError,),
    seeds,
    tokens=(*(f"{name} = ".encode() for name in SETTINGS), b"[s3]\n", b"[[s3.buckets]]\n", b"inf", b"1979-05-27"),
)
