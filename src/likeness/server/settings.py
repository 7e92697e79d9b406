"""The settings of the server with their defaults; the tables in docs/operations.md are generated from them.

Values only; `configuration` reads and checks them.
"""

# ruff: noqa: RUF009 - _setting wraps dataclasses.field
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from likeness.aws.keys import default_path
from likeness.runtime.devices import Device
from likeness.sources.store import StoreSettings

if TYPE_CHECKING:
    from likeness.comparer import ComparerSettings

MIB = 1024 * 1024

Count = Annotated[int, Meta(ge=0)]
Name = Annotated[str, Meta(min_length=1)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Rate = Annotated[float, Meta(ge=0, le=1_000_000)]


def _setting(default: Any, text: str, *, secret: bool = False, file_only: bool = False) -> Any:
    metadata = {"help": text, "secret": secret, "file_only": file_only}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, slots=True)
class S3Settings:
    """The `[s3]` section: the defaults for all buckets, and `buckets` that differ."""

    enabled: bool = _setting(True, "whether S3Object references are accepted")
    directory: Path | None = _setting(None, "a folder whose files are the objects of every bucket")
    endpoint_url: str | None = _setting(None, "an S3 other than AWS, such as http://minio:9000")
    region: str | None = _setting(None, "region of the buckets; else AWS_REGION, else us-east-1")
    addressing: Literal["auto", "path", "virtual"] = _setting(
        "auto", "bucket in the path or in the host name; auto: path with an endpoint_url"
    )
    profile: str | None = _setting(None, "profile of ~/.aws whose credentials or role are used")
    access_key_id: str | None = _setting(
        None, "fixed credentials; else the environment, the profile, the machine's role"
    )
    secret_access_key: str | None = _setting(None, "secret of access_key_id", secret=True)
    session_token: str | None = _setting(None, "session token of access_key_id", secret=True)
    anonymous: bool = _setting(False, "send no credentials: public buckets")
    ca_bundle: Path | None = _setting(None, "certificates to trust, a PEM file")
    connect_timeout_seconds: Seconds = _setting(2.0, "to connect to the store")
    read_timeout_seconds: Seconds = _setting(5.0, "for each read from the store")
    attempts: Annotated[int, Meta(ge=1, le=10)] = _setting(3, "tries per object, all within the request's deadline")
    buckets: tuple[Mapping[str, Any], ...] = _setting(
        tuple, "[[s3.buckets]]: `pattern` and any setting of [s3] that differs there", file_only=True
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. The defaults of limits are the service's (docs/migrating.md)."""

    # Behaviour
    pack: Name = _setting("standard", "model pack: a name, or a path")
    packs: tuple[str, ...] = _setting(
        (), "further packs, which policies of keys choose by the condition key likeness:Pack"
    )
    packs_memory_bytes: Positive = _setting(
        2048 * MIB, "memory of a worker that holds several packs, once they are loaded"
    )
    shadow: Name | None = _setting(
        None, "a pack that compares each request of `pack` too; the log says how often decisions differ"
    )
    uncalibrated: bool = _setting(False, "let a pack without a calibration answer; every answer is marked")
    device: Device = _setting("cpu", "what networks run on; one that is missing is an error")
    target_without_faces: Literal["error", "empty"] = _setting(
        "error", "a target without a face: InvalidParameterException, or an answer without faces"
    )
    orientation_correction: Literal["off", "estimate"] = _setting(
        "off", "estimate: emit Source- and TargetImageOrientationCorrection"
    )
    face_attributes: Literal["all", "default"] = _setting("all", "default: neither Emotions nor Smile, as on AWS today")
    search_rotations: bool = _setting(
        True, "also search for faces that are not upright: if none is found, or the main one is uncertain"
    )
    verbose_errors: bool = _setting(False, "append the reason to the texts of errors")
    max_inline_bytes: Positive = _setting(5_242_880, "bytes of an image in the request, after base64")
    max_s3_bytes: Positive = _setting(15 * MIB, "bytes of an image from S3")
    min_side_px: Positive = _setting(80, "shortest side of an image")
    max_faces: Positive = _setting(100, "largest faces of the target that are compared")
    max_pixels: Positive = _setting(100_000_000, "pixels of an image, read from its header before decoding")
    max_decoding_seconds: Seconds = _setting(
        2.5, "processor time to decode an image, estimated from its header and scans before it is spent"
    )
    isolate_decoding: bool = _setting(
        False, "decode images in processes of their own, which can do nothing else; on Linux"
    )

    # Authentication and rates
    auth: Literal["sigv4", "none"] | None = _setting(
        None, "unset: sigv4 if the key file exists, else none, on loopback only"
    )
    keys: Path = _setting(default_path, "the key file of `likeness keys`; reloaded when it changes")
    clock_skew_seconds: Seconds = _setting(300.0, "the largest deviation of a signature's time")
    regions: tuple[str, ...] = _setting((), "regions accepted in the credential scope; empty: any")
    cors_origins: tuple[str, ...] | None = _setting(
        None,
        "browser origins that may call; unset: * without authentication on loopback, else none; "
        "unsigned S3Object only from origins named here",
    )
    rate_per_second: Rate = _setting(0.0, "requests a second of each key (without authentication: of all); 0: no limit")
    rate_burst: Count = _setting(0, "requests a key may send at once; 0: two seconds' worth")
    rates: Mapping[str, Rate] = _setting(dict, "[rates]: rate_per_second of single keys, by key id", file_only=True)

    # Listening
    host: Name = _setting("127.0.0.1", "address or name to listen on")
    port: Annotated[int, Meta(ge=0, le=65_535)] = _setting(8080, "0: any free port")
    unix_socket: Path | None = _setting(None, "listen on this socket file instead of host and port")
    unix_socket_mode: Annotated[str, Meta(pattern="^[0-7]{3,4}$")] = _setting("660", "its permissions, octal")
    path_prefix: Annotated[str, Meta(pattern="^(/[A-Za-z0-9._~-]+)*$")] = _setting(
        "", "also answer below this path, such as /faces"
    )
    tls_certificate: Path | None = _setting(None, "PEM file with the certificate chain; read again on SIGHUP")
    tls_key: Path | None = _setting(None, "PEM file with its key")
    trusted_proxies: tuple[str, ...] = _setting(
        (), "addresses or networks whose X-Forwarded-For and -Proto are trusted; *: every peer's, the last entry only"
    )

    # Capacity limits
    workers: Positive = _setting(1, "processes that share the port")
    threads: Positive | None = _setting(None, "processors to use, in all; unset: all that the process may use")
    request_deadline_seconds: Seconds = _setting(30.0, "a request that has not started by then is refused")
    max_queue: Count = _setting(64, "waiting requests of all workers; further ones are refused")
    max_body_bytes: Positive | None = _setting(
        None, "largest request body; unset: what two inline images need, 15 MiB at least"
    )
    body_memory_bytes: Positive | None = _setting(
        None, "bytes of bodies held at once per worker, more wait in the network; unset: 64 MiB, four bodies at least"
    )
    pixel_memory_bytes: Positive = _setting(
        1024 * MIB, "bytes of decoded photos at once per worker, costly ones apart; one request alone may need more"
    )
    max_connections: Positive = _setting(
        1000, "connections per worker, fewer where the limit of open files is lower; silent ones yield, then 503"
    )
    header_timeout_seconds: Seconds = _setting(10.0, "for a request's headers to arrive")
    body_timeout_seconds: Seconds = _setting(
        60.0, "for a request's body to arrive, and for a client to read its answer"
    )
    least_body_bytes_per_second: Annotated[float, Meta(gt=0)] = _setting(
        4096.0, "a body slower than this for over five seconds is refused"
    )
    keep_alive_seconds: Positive = _setting(65, "an idle connection is closed after")
    grace_seconds: Seconds = _setting(25.0, "after SIGTERM, for running requests to finish")

    # Logs, metrics and console
    access_log: str = _setting("-", "file of the access log; -: standard output")
    log_requests: Literal["all", "errors"] = _setting("all", "which requests the access log contains")
    audit_log: str | None = _setting(None, "file of the audit records; -: standard output; unset: none")
    audit_when_full: Literal["drop", "refuse"] = _setting(
        "drop", "when audit records cannot be written: drop them, or refuse requests"
    )
    audit_region: str = _setting("us-east-1", "awsRegion of audit records of unsigned requests")
    metrics: bool = _setting(True, "serve GET /metrics")
    console: bool | None = _setting(
        None, "serve the console, a page for the browser, at GET /; unset: on loopback only"
    )
    reload_grace_seconds: Seconds = _setting(
        60.0, "how long a changed key file, log or certificate may be unreadable before /readyz says 503"
    )

    s3: S3Settings = field(default_factory=S3Settings)

    @property
    def signed(self) -> bool:
        """Whether requests must be signed (decision 20); `validation.check` has checked that this is possible."""
        return self.auth == "sigv4" or (self.auth is None and self.has_keys)

    @property
    def has_keys(self) -> bool:
        """Whether there is a key file; if that cannot be determined, True, so that signatures are checked."""
        try:
            self.keys.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True

    @property
    def with_access_decided(self) -> "Settings":
        """These settings with `auth` set, so that a key file that is missing later does not turn authentication off."""
        return replace(self, auth="sigv4" if self.signed else "none")

    @property
    def chosen_packs(self) -> tuple[str, ...]:
        """The packs among which policies choose, in the order of preference."""
        return (self.pack, *self.packs)

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.unix_socket is not None or is_loopback(self.host)

    @property
    def serves_console(self) -> bool:
        """Whether GET / is the console; by default not on a socket file, which browsers cannot open."""
        return self.console if self.console is not None else self.unix_socket is None and self.on_loopback

    @property
    def cors(self) -> tuple[str, ...]:
        """The browser origins that may call (decision 13)."""
        if self.cors_origins is not None:
            return self.cors_origins
        return ("*",) if not self.signed and self.on_loopback else ()

    @property
    def body_limit_bytes(self) -> int:
        """The largest body accepted; by default enough for two inline images in base64 (specification section 2.1)."""
        return self.max_body_bytes or max(15 * MIB, smallest_body_limit(self.max_inline_bytes))

    @property
    def body_memory(self) -> int:
        """The bytes of request bodies that one worker holds at once."""
        return self.body_memory_bytes or max(64 * MIB, 4 * self.body_limit_bytes)

    @property
    def comparer(self) -> "ComparerSettings":
        """The settings that the engine needs."""
        from likeness.comparer import ComparerSettings  # imports numpy, which the supervisor must not

        return ComparerSettings(
            target_without_faces=self.target_without_faces,
            face_attributes=self.face_attributes,
            orientation_correction=self.orientation_correction,
            search_rotations=self.search_rotations,
            uncalibrated=self.uncalibrated,
            device=self.device,
            max_faces=self.max_faces,
            min_side_px=self.min_side_px,
            max_pixels=self.max_pixels,
            max_bytes=max(self.max_inline_bytes, self.max_s3_bytes),
            max_decoding_seconds=self.max_decoding_seconds,
        )

    def stores(self) -> tuple[StoreSettings, ...]:
        """The stores of S3Object references, of which the first that matches a bucket is used; none if S3 is off."""
        if not self.s3.enabled:
            return ()
        names = [name for name in StoreSettings.__dataclass_fields__ if name != "pattern"]
        general = {name: getattr(self.s3, name) for name in names}
        return (*(StoreSettings(**general | dict(bucket)) for bucket in self.s3.buckets), StoreSettings(**general))


def smallest_body_limit(max_inline_bytes: int) -> int:
    """The bytes of a body with two images of `max_inline_bytes` in base64, and 64 KiB for the rest."""
    return 2 * (4 * ((max_inline_bytes + 2) // 3)) + 64 * 1024


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to `host`, an address or a name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return False
