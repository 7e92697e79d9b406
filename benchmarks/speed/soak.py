"""The server's memory over many mixed requests: photos of all sizes and shapes, groups, PNG, invalid requests."""

import http.client
import itertools
import json
import os
import random
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
from benchmarks.speed.contestants import ContestantFailed, Server, serving
from benchmarks.speed.photos import group, portrait_pair
from benchmarks.speed.workers.turn import memory_mb
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

_CLIENTS = 8
#: A reading varies by 8 MB with the requests in progress, so ten are averaged: the mean of a tenth is within 1 MB.
_OBSERVATIONS, _READINGS = 200, 10
#: The percentage of each kind of request; the rest are pairs of photos of every size.
_SHARES = {"12mp": 1, "group of 100": 1, "group of 20": 4, "png": 5, "refused": 14}
_SIZES = 120


@dataclass(frozen=True)
class _Request:
    kind: str
    body: bytes
    signed: bool = True


def soak(count: int, *, progress: Callable[[str], None]) -> dict[str, Any]:
    """Sends `count` requests from eight clients; the resident memory of the server's processes, averaged over each of
    200 intervals, and by how much the mean of its last tenth exceeds that of the tenth that begins at the half, in
    percent.
    """
    requests = _mixed(count)
    statuses: Counter[str] = Counter()
    observed: list[tuple[int, float]] = []
    readings: list[float] = []
    lock = threading.Lock()
    sent = itertools.count(1)
    with serving() as server:

        def send_all() -> None:
            connection: http.client.HTTPConnection | None = None
            while True:
                with lock:
                    request, number = next(requests, None), next(sent)
                if request is None:
                    return
                status, connection = _send(server, request, connection)
                with lock:
                    statuses[f"{request.kind}: {status}"] += 1
                    if number % max(1, count // (_OBSERVATIONS * _READINGS)) == 0:
                        readings.append(server_memory_mb(server.pid))
                    if len(readings) == _READINGS:
                        observed.append((number, sum(readings) / _READINGS))
                        readings.clear()
                        progress(f"soak {number:>7} requests, {observed[-1][1]:.0f} MB")

        before_mb, began = server_memory_mb(server.pid), time.perf_counter()
        with ThreadPoolExecutor(_CLIENTS) as pool:
            for sending in [pool.submit(send_all) for _ in range(_CLIENTS)]:
                sending.result()
        seconds = time.perf_counter() - began
        time.sleep(2)
        end_mb = server_memory_mb(server.pid)
    half = [memory for number, memory in observed if number > count / 2] or [end_mb]
    some = max(1, len(half) // 5)
    middle, late = sum(half[:some]) / some, sum(half[-some:]) / some
    return {
        "requests": count,
        "seconds": seconds,
        "before_mb": before_mb,
        "observed": observed,
        "end_mb": max(end_mb, observed[-1][1] if observed else 0.0),
        "growth_percent": 100 * (late - middle) / middle,
        "statuses": dict(sorted(statuses.items())),
    }


def server_memory_mb(pid: int) -> float:
    """Resident memory of the server and its children in MB. ContestantFailed if it has ended."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    family = [pid, *map(int, children.read_text().split())] if children.is_file() else [pid]
    resident_mb = sum(memory_mb(each, "VmRSS") or 0.0 for each in family)
    if not resident_mb:
        raise ContestantFailed("the server has ended")
    return resident_mb


def _mixed(count: int) -> Iterator[_Request]:
    """`count` requests, the same and in the same order each time."""
    chance = random.Random(7)
    kinds = {
        "12mp": [_pair("12mp", *_files(portrait_pair(4032, 3024)))],
        "group of 100": [
            _pair("group of 100", portrait_pair(640, 480).source.read_bytes(), group(100, 13, 1920, 1080).read_bytes())
        ],
        "group of 20": [
            _pair("group of 20", portrait_pair(640, 480).source.read_bytes(), group(20, 5, 1920, 1080).read_bytes())
        ],
        "png": [
            _pair("png", _scaled(0, width, height, ".png"), _scaled(1, width, height, ".png"))
            for width, height in ((400, 300), (640, 481))
        ],
        "refused": _refused(),
        "pair": [_pair("pair", *(_scaled(which, *_size(chance), ".jpg") for which in (0, 1))) for _ in range(_SIZES)],
    }
    names = [name for name, share in _SHARES.items() for _ in range(share)]
    names += ["pair"] * (100 - len(names))
    for _ in range(count):
        yield chance.choice(kinds[chance.choice(names)])


def _size(chance: random.Random) -> tuple[int, int]:
    width = chance.randrange(240, 1700)
    return width, max(160, round(width * chance.uniform(0.6, 1.5)))


def _files(pair: Any) -> tuple[bytes, bytes]:
    return pair.source.read_bytes(), pair.target.read_bytes()


def _scaled(which: int, width_px: int, height_px: int, suffix: str) -> bytes:
    pair = portrait_pair(1920, 1080)
    photo = cv2.imread(str((pair.source, pair.target)[which]))
    assert photo is not None
    small = cv2.resize(photo[:, 420:1500], (width_px, height_px), interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(suffix, small)[1])


def _pair(kind: str, source: bytes, target: bytes) -> _Request:
    images = {"SourceImage": source, "TargetImage": target}
    body = {name: {"Bytes": b64encode(data).decode()} for name, data in images.items()}
    return _Request(kind, json.dumps(body).encode())


def _refused() -> list[_Request]:
    face = portrait_pair(640, 480).source.read_bytes()
    empty = bytes(cv2.imencode(".jpg", np.full((480, 640, 3), 128, np.uint8))[1])
    return [
        _pair("no face", face, empty),
        _pair("cut off", face, face[: len(face) // 2]),
        _pair("broken", face, b"\xff\xd8\xff" + os.urandom(2000)),
        _pair("no photo", face, b"GIF89a" + bytes(500)),
        _Request("no JSON", b'{"SourceImage": {'),
        _Request("no signature", b"{}", signed=False),
    ]


def _send(
    server: Server, request: _Request, connection: http.client.HTTPConnection | None
) -> tuple[int, http.client.HTTPConnection | None]:
    """The status of the answer, and the connection if it can be reused."""
    headers = {"X-Amz-Target": "RekognitionService.CompareFaces", "Content-Type": "application/x-amz-json-1.1"}
    if request.signed:
        aws = AWSRequest("POST", server.url + "/", headers=headers, data=request.body)
        SigV4Auth(Credentials(server.key_id, server.secret), "rekognition", "us-east-1").add_auth(aws)
        headers = dict(aws.headers)
    connection = connection or http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=120)
    try:
        connection.request("POST", "/", request.body, headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0, None
    if answer.will_close:
        connection.close()
        return answer.status, None
    return answer.status, connection
