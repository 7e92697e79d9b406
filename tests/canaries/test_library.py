"""What is printed and logged in a program that uses the library: no octets of a photo, no vector, no secret."""

import io
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

import likeness
from likeness.aws.protocol import WireResponse
from likeness.aws.shapes import CompareFacesRequest
from likeness.aws.signature import Request
from likeness.comparer import Comparer
from likeness.server.request_context import RequestContext
from likeness.sources.credentials import Credentials

from .conftest import Canaries, Pictures

pytestmark = pytest.mark.engine

ANSWERED = ("landmarks", "similarity")


@pytest.fixture(scope="module")
def photos(pictures: Pictures) -> tuple[Canaries, bytes, bytes]:
    canaries = Canaries()
    return canaries, canaries.photo("source", pictures.person), canaries.photo("target", pictures.again, "PNG")


def broken(photo: bytes) -> list[bytes]:
    return [b"", photo[: len(photo) // 3], b"\0" + photo, photo[:20], photo[:-100] + bytes(60) + photo[-40:]]


def test_no_log_and_no_exception_has_any(
    photos: tuple[Canaries, bytes, bytes], measured: Callable[..., None], comparer: Comparer
) -> None:
    canaries, source, target = photos
    measured(canaries, source, target)
    log, told = io.StringIO(), []
    handler, root = logging.StreamHandler(log), logging.getLogger()
    # botocore's messages for debugging hold whole requests and answers, in every program that asks for them.
    handler.addFilter(lambda record: not record.name.startswith("botocore"))
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        comparer.compare(source, target)
        answer = likeness.client(comparer=comparer).compare_faces(
            SourceImage={"Bytes": source}, TargetImage={"Bytes": target}
        )
        assert answer["FaceMatches"]
        arrays = [np.asarray(Image.open(io.BytesIO(source))).astype(float), np.zeros((9, 9)), object()]
        for photo in [*broken(source), *broken(target), *arrays, source.decode("latin-1")]:
            try:
                comparer.compare(photo, target)
            except likeness.errors.RequestError as error:
                told.append(f"{error!r} {error}")
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
    assert len(told) >= 10
    assert canaries.search.found("\n".join(told).encode()) == set()
    assert canaries.search.found(log.getvalue().encode()) == set()


def test_printed_objects_show_neither_octets_nor_vectors_nor_secrets(
    photos: tuple[Canaries, bytes, bytes], comparer: Comparer
) -> None:
    canaries, source, target = photos
    secret = canaries.secret("secret", 200)
    search = canaries.search
    prepared, analysed = comparer.prepare(source), comparer.analyse(target)
    for name, vector in (("source", prepared.vector), ("target", analysed.vectors[0])):
        search.add_vector(f"vector of the {name}", vector)
    for name, data in (("source", source), ("target", target)):
        search.add_bytes(f"photo of the {name}", data)
    (result,) = likeness.compare_many([(source, target)], comparer=comparer)
    headers = (("authorization", secret),)
    context: dict[str, Any] = {"client": None, "secure": False}
    printed = [
        prepared,
        analysed,
        prepared.profile,
        result,
        comparer,
        Credentials("AKIA", secret, secret),
        Request("POST", "/", f"X-Amz-Signature={secret}", headers, source),
        RequestContext("POST", "/", f"X-Amz-Signature={secret}", headers, **context),
        CompareFacesRequest(source, target),
        WireResponse(200, (), source),
    ]
    for each in printed:
        # Landmarks and similarities are what a program prints on purpose: the answer.
        found = {name for name in search.found(f"{each!r} {each}".encode()) if not name.startswith(ANSWERED)}
        assert found == set(), type(each)
