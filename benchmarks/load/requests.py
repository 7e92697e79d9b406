"""Requests as they go over the wire, with the answers that they must get."""

import base64
import io
import itertools
import json
from dataclasses import dataclass

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from PIL import Image

from likeness import packs
from likeness.aws import protocol
from likeness.aws.keys import Key
from likeness.comparer import Comparer
from likeness.errors import RequestError
from likeness.image import ImageLimits, open_image

HEADERS = {
    "Host": "localhost",
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "RekognitionService.CompareFaces",
}
ORDINARY, SMALL = (640, 480), (160, 120)


@dataclass(frozen=True)
class Exchange:
    """A request and its known answer. `body` is compared octet for octet."""

    kind: str
    request: bytes
    status: int
    body: bytes


@dataclass(frozen=True)
class Photos:
    """The body of a request with two photos, and the known answer of the library."""

    body: bytes
    status: int
    answer: bytes


def request(source: bytes, target: bytes) -> bytes:
    """A complete HTTP request, unsigned."""
    return _http(_body(source, target), HEADERS)


def _body(source: bytes, target: bytes) -> bytes:
    images = {"SourceImage": source, "TargetImage": target}
    document = {name: {"Bytes": base64.b64encode(data).decode()} for name, data in images.items()}
    return json.dumps(document).encode()


def _http(body: bytes, headers: dict[str, str]) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST / HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def portrait(name: str, size: tuple[int, int]) -> bytes:
    """A sample portrait as a JPEG of that size."""
    with Image.open(packs.samples()[name]) as picture, io.BytesIO() as file:
        picture.convert("RGB").resize(size).save(file, "JPEG", quality=90)
        return file.getvalue()


def ordinary_request() -> bytes:
    """An unsigned request with two portraits of 640x480."""
    return request(portrait("obama.jpg", ORDINARY), portrait("obama2.jpg", ORDINARY))


def costly_photo() -> bytes:
    """The most costly progressive JPEG within the limits."""
    best = b""
    for side in range(2000, 10_000, 1000):
        with io.BytesIO() as file:
            Image.effect_noise((side // 8, side // 8), 60).resize((side, side)).convert("RGB").save(
                file, "JPEG", quality=40, progressive=True
            )
            photo = file.getvalue()
        if len(photo) > 5_000_000:
            break
        try:
            open_image(photo, limits=ImageLimits())
        except RequestError:  # over a limit: the previous one is the most costly
            break
        best = photo
    return best


def known_answers(costly: bytes | None = None) -> dict[str, list[Photos]]:
    """Photos by kind, with what a Comparer in this process answers: `pair`, `small`, `no face` and `damaged`.

    With a photo that is costly to decode: of `costly` instead.
    """
    pairs = _pairs() if costly is None else {"costly": [(costly, costly)]}
    with Comparer() as comparer:
        return {kind: [_known(comparer, *pair) for pair in those] for kind, those in pairs.items()}


def _pairs() -> dict[str, list[tuple[bytes, bytes]]]:
    names = ("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg")
    pairs = {
        kind: [(portrait(source, size), portrait(target, size)) for source, target in itertools.permutations(names, 2)]
        for kind, size in (("pair", ORDINARY), ("small", SMALL))
    }
    with io.BytesIO() as file:
        Image.new("RGB", (80, 80), (127, 127, 127)).save(file, "JPEG")
        grey = file.getvalue()
    return pairs | {"no face": [(grey, grey)], "damaged": [(each[:1000], each) for each, _ in pairs["small"]]}


def _known(comparer: Comparer, source: bytes, target: bytes) -> Photos:
    try:
        answer = protocol.success(comparer.compare(source, target), "")
    except RequestError as error:
        answer = protocol.failure(error, "")
    return Photos(_body(source, target), answer.status, answer.body)


def signed(photos: Photos, key: Key, kind: str) -> Exchange:
    """A request signed now, and its known answer."""
    return Exchange(kind, _http(photos.body, _signature(photos.body, key.id, key.secret)), photos.status, photos.answer)


def wrongly_signed(photos: Photos, key: Key) -> Exchange:
    """A request signed with another secret."""
    text = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access"
    text += " Key and signing method. Consult the service documentation for details."
    return Exchange(
        "wrongly signed",
        _http(photos.body, _signature(photos.body, key.id, "another secret")),
        400,
        _error("InvalidSignatureException", text),
    )


def unsigned(photos: Photos) -> Exchange:
    """A request without a signature."""
    body = _error("MissingAuthenticationTokenException", "Missing Authentication Token")
    return Exchange("unsigned", _http(photos.body, HEADERS), 400, body)


def health() -> Exchange:
    """A health check."""
    body = b'{"status":"ready","pack":"standard"}'
    return Exchange("health", b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, body)


def _error(code: str, message: str) -> bytes:
    return json.dumps({"__type": code, "message": message}, separators=(",", ":")).encode()


def _signature(body: bytes, key_id: str, secret: str) -> dict[str, str]:
    asked = AWSRequest("POST", "http://localhost/", dict(HEADERS), body)
    SigV4Auth(Credentials(key_id, secret), "rekognition", "us-east-1").add_auth(asked)
    return dict(asked.headers)
