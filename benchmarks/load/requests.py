"""Requests as they go over the wire, with the answers that they must get."""

import base64
import hashlib
import io
import itertools
import json
import random
from collections import Counter
from dataclasses import dataclass, replace

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from PIL import Image

from likeness import packs
from likeness.aws import protocol
from likeness.aws.errors import WireError
from likeness.aws.keys import Key
from likeness.comparer import Comparer
from likeness.errors import RequestError, Throttled
from likeness.image import ImageLimits, open_image

HEADERS = {
    "Host": "localhost",
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "RekognitionService.CompareFaces",
}
ORDINARY = (640, 480)
#: A face crop whose pair takes least: 0.7 of an ordinary pair, as most of the time is for the two faces.
SMALL_SIDE, SMALL_MARGIN = 100, 3.0
NAMES = ("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg")
#: How many versions there are of each of the twelve pairs of portraits, and how many values that are quoted.
PAIR_VERSIONS, SMALL_VERSIONS, QUOTED = 8, 40, 4000
#: Parts of a photo by which versions of it are shifted.
_SHIFT = 0.03


@dataclass(frozen=True)
class Exchange:
    """A request and its known answer. `body` is compared octet for octet.

    `is_distinct`: no other request of the case has this answer, but the same photos of the same caller.
    `may_be_refused`: the request waits for the engine, so that `refusal()` is right too.
    """

    kind: str
    request: bytes
    status: int
    body: bytes
    is_distinct: bool = False
    may_be_refused: bool = False


@dataclass(frozen=True)
class Photos:
    """The body of a request with two photos, and the known answer of the library; `is_distinct`: that of no others."""

    body: bytes
    status: int
    answer: bytes
    is_distinct: bool = False


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


def portrait(name: str, size: tuple[int, int], shift: tuple[float, float] = (0.0, 0.0)) -> bytes:
    """A sample portrait as a JPEG of that size, without `shift` (parts of its width and height) at the left and top."""
    with Image.open(packs.samples()[name]) as picture:
        box = (shift[0] * picture.width, shift[1] * picture.height, picture.width, picture.height)
        return _jpeg(picture.convert("RGB").resize(size, box=box))


def _jpeg(picture: Image.Image) -> bytes:
    with io.BytesIO() as file:
        picture.save(file, "JPEG", quality=90)
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


def ordinary_answers() -> list[Photos]:
    """Pairs of portraits, each with another answer, with what a Comparer in this process answers."""
    with Comparer() as comparer:
        return _distinct([_known(comparer, *pair) for pair in _ordinary_pairs()])


def costly_answers() -> list[Photos]:
    """A pair that is costly to decode."""
    costly = costly_photo()
    with Comparer() as comparer:
        return [_known(comparer, costly, costly)]


def mixed_answers() -> dict[str, list[Photos]]:
    """Pairs by kind: `small` and `quoted`, each with another answer, and `no face` and `damaged`."""
    with Comparer() as comparer:
        small = _small_pairs(comparer)
        grey = _jpeg(Image.new("RGB", (80, 80), (127, 127, 127)))
        return {
            "small": _distinct([_known(comparer, *pair) for pair in small]),
            "quoted": _distinct([_quoted(number) for number in range(QUOTED)]),
            "no face": [_known(comparer, grey, grey)],
            "damaged": [_known(comparer, source[:1000], source) for source, _ in small],
        }


def _ordinary_pairs() -> list[tuple[bytes, bytes]]:
    dice = random.Random(25)
    versions = {name: [portrait(name, ORDINARY, _random_shift(dice)) for _ in range(PAIR_VERSIONS)] for name in NAMES}
    return [pair for two in itertools.permutations(NAMES, 2) for pair in zip(*(versions[n] for n in two), strict=True)]


def _random_shift(dice: random.Random) -> tuple[float, float]:
    return dice.uniform(0, _SHIFT), dice.uniform(0, _SHIFT)


def _small_pairs(comparer: Comparer) -> list[tuple[bytes, bytes]]:
    """Face crops, each shifted otherwise."""
    dice = random.Random(26)
    versions = {}
    for name in NAMES:
        with Image.open(packs.samples()[name]) as picture:
            versions[name] = _face_crops(comparer, picture.convert("RGB"), dice)
    return [pair for two in itertools.permutations(NAMES, 2) for pair in zip(*(versions[n] for n in two), strict=True)]


def _face_crops(comparer: Comparer, picture: Image.Image, dice: random.Random) -> list[bytes]:
    found = comparer.analyse(_jpeg(picture)).faces[0].bounding_box
    side = SMALL_MARGIN * max(found.width * picture.width, found.height * picture.height)
    centre = (found.left + found.width / 2) * picture.width, (found.top + found.height / 2) * picture.height
    crops = []
    for _ in range(SMALL_VERSIONS):
        left, top = (int(middle - side * (0.5 + dice.uniform(-_SHIFT, _SHIFT))) for middle in centre)
        crop = picture.crop((left, top, left + int(side), top + int(side)))
        crops.append(_jpeg(crop.resize((SMALL_SIDE, SMALL_SIDE))))
    return crops


def _quoted(number: int) -> Photos:
    """A value that is not allowed and that the answer quotes; the photos are not looked at."""
    value = hashlib.sha256(f"quoted {number}".encode()).hexdigest()
    body = json.dumps(json.loads(_body(b"abc", b"abc")) | {"QualityFilter": value}).encode()
    try:
        protocol.validate(protocol.parse_body(body))
    except WireError as error:
        answer = protocol.failure(error, "")
    assert value.encode() in answer.body
    return Photos(body, answer.status, answer.body)


def _known(comparer: Comparer, source: bytes, target: bytes) -> Photos:
    try:
        answer = protocol.success(comparer.compare(source, target), "")
    except RequestError as error:
        answer = protocol.failure(error, "")
    return Photos(_body(source, target), answer.status, answer.body)


def _distinct(photos: list[Photos]) -> list[Photos]:
    """The same, those marked whose answers no others have."""
    times = Counter(each.answer for each in photos)
    return [replace(each, is_distinct=times[each.answer] == 1) for each in photos]


def refusal() -> tuple[int, bytes]:
    """Status and body of the answer to a request for which there is no capacity."""
    answer = protocol.failure(Throttled(), "")
    return answer.status, answer.body


def signed(photos: Photos, key: Key, kind: str) -> Exchange:
    """A request signed now, and its known answer."""
    data = _http(photos.body, _signature(photos.body, key.id, key.secret))
    # Values are checked before a request waits.
    return Exchange(kind, data, photos.status, photos.answer, photos.is_distinct, may_be_refused=kind != "quoted")


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
