"""The server's memory over many mixed requests, as many as a quiet server answers in a day, with every answer checked.

The mix is that of a server through which people log in. Of 50,000 requests in 24 hours 31,680 are of its monitoring:
the probes of `deploy/kubernetes.yaml` every 5 and 10 seconds, and a scrape of the metrics every 15. A fifth of the
others are refused. Photos of many people are rare, yet 50 of a hundred people are among 50,000 requests.
"""

import http.client
import itertools
import json
import random
import subprocess
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
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

_CLIENTS, _CALLERS = 8, 4
#: A reading varies by 8 MB with the requests in progress, so ten are averaged: the mean of a tenth is within 1 MB.
_OBSERVATIONS, _READINGS = 200, 10
#: The percentage of each kind of request; the rest are pairs of photos of every size.
_SHARES = {
    "12mp": 0.4,
    "group of 100": 0.1,
    "group of 20": 0.4,
    "png": 2.0,
    "refused": 7.3,
    "monitoring": 63.4,
}
_SIZES = 120
#: The longest that a request waits for its answer.
_ANSWER_SECONDS = 600
#: The file among the results in which all runs are recorded.
RECORD = "soak.json"


@dataclass(frozen=True)
class _Request:
    """A request and what its answer must be: the status, and of an error the name, of a comparison that it matches."""

    kind: str
    body: bytes = b""
    path: str = ""
    status: int = 200
    error: str = ""
    matches: bool = True
    signed: bool = True
    forged: bool = False


@dataclass
class _Answers:
    """The answers by kind and status, and those that are wrong: not as the request says, or not the same each time."""

    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _first: dict[bytes, bytes] = field(default_factory=dict)

    def check(self, request: _Request, status: int, answer: bytes) -> None:
        """Counts an answer and compares it with the known one."""
        self.statuses[f"{request.kind}: {status}"] += 1
        if status != request.status or (not request.path and not self._is_known(request, answer)):
            self.wrong.append(f"{request.kind}: {status} {answer[:200].decode('utf-8', 'replace')}")

    def _is_known(self, request: _Request, answer: bytes) -> bool:
        if request.body and request.signed and self._first.setdefault(request.body, answer) != answer:
            return False
        said = json.loads(answer)
        if request.error:
            return bool(said["__type"].endswith(request.error))
        return bool(said["FaceMatches"]) == request.matches


def soak(count: int, *, progress: Callable[[str], None]) -> dict[str, Any]:
    """Sends `count` requests from eight clients with the keys of four callers; the resident memory of the server's
    processes, averaged over each of 200 intervals, and by how much the mean of its last tenth exceeds that of the tenth
    that begins at the half, in percent; and how many answers are wrong.
    """
    requests = _mixed(count)
    answers = _Answers()
    observed: list[tuple[int, float]] = []
    readings: list[float] = []
    lock = threading.Lock()
    sent = itertools.count(1)
    interrupted = threading.Event()
    # Clients wait longer than by default, so that a soak may run beside more important work without refusals.
    with serving("--request-deadline-seconds", str(_ANSWER_SECONDS), callers=_CALLERS) as server:

        def send_all() -> None:
            connection: http.client.HTTPConnection | None = None
            while True:
                with lock:
                    request, number = next(requests, None), next(sent)
                if request is None or interrupted.is_set():
                    return
                status, answer, connection = _send(server, request, number, connection)
                with lock:
                    answers.check(request, status, answer)
                    if number % max(1, count // (_OBSERVATIONS * _READINGS)) == 0:
                        readings.append(server_memory_mb(server.pid))
                    if len(readings) == _READINGS:
                        observed.append((number, sum(readings) / _READINGS))
                        readings.clear()
                        progress(f"soak {number:>7} requests, {observed[-1][1]:.1f} MB, {len(answers.wrong)} wrong")

        before_mb, began = server_memory_mb(server.pid), time.perf_counter()
        with ThreadPoolExecutor(_CLIENTS) as pool:
            sending = [pool.submit(send_all) for _ in range(_CLIENTS)]
            try:
                for each in sending:
                    each.result()
            finally:
                interrupted.set()
        seconds = time.perf_counter() - began
        time.sleep(2)
        end_mb = server_memory_mb(server.pid)
    return {
        "ended": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "requests": count,
        "seconds": seconds,
        "before_mb": before_mb,
        **_growth(observed, count, end_mb),
        "wrong": len(answers.wrong),
        "first_wrong": answers.wrong[:3],
        "statuses": dict(sorted(answers.statuses.items())),
        "observed_mb": [memory for _, memory in observed],
    }


def _growth(observed: list[tuple[int, float]], count: int, end_mb: float) -> dict[str, float]:
    """The mean memory of the tenth of `count` requests that begins at the half, and of the last; and the growth."""
    half = [memory for number, memory in observed if number > count / 2] or [end_mb]
    some = max(1, len(half) // 5)
    middle, late = sum(half[:some]) / some, sum(half[-some:]) / some
    return {
        "half_mb": middle,
        "last_mb": late,
        "growth_percent": 100 * (late - middle) / middle,
        "end_mb": max(end_mb, observed[-1][1] if observed else 0.0),
    }


def runs_in(path: Path) -> list[dict[str, Any]]:
    """The runs recorded in `path`, the last one last."""
    return list(json.loads(path.read_text())["runs"]) if path.is_file() else []


def record(path: Path, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Adds a run to those in `path`, of which none is dropped, and returns those of as many requests."""
    rounded = json.loads(json.dumps(run), parse_float=lambda text: float(f"{float(text):.5g}"))
    runs = [*runs_in(path), rounded]
    text = ",\n".join("  " + json.dumps(each) for each in runs)
    path.write_text('{\n "runs": [\n' + text + "\n ]\n}\n")
    return [each for each in runs if each["requests"] == run["requests"]]


def commit() -> str:
    """The commit of this code; "unknown" outside a repository."""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return asked.stdout.strip()


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
    face = portrait_pair(640, 480).source.read_bytes()
    kinds = {
        "12mp": [_pair("12mp", *_files(portrait_pair(4032, 3024)))],
        "group of 100": [_pair("group of 100", face, group(100, 13, 1920, 1080).read_bytes(), matches=False)],
        "group of 20": [_pair("group of 20", face, group(20, 5, 1920, 1080).read_bytes(), matches=False)],
        "png": [
            _pair("png", _scaled(0, width, height, ".png"), _scaled(1, width, height, ".png"))
            for width, height in ((400, 300), (640, 481))
        ],
        "refused": _refused(),
        "monitoring": [
            _Request("monitoring", path=path) for path in ["/readyz"] * 6 + ["/healthz"] * 3 + ["/metrics"] * 2
        ],
        "pair": [_pair("pair", *(_scaled(which, *_size(chance), ".jpg") for which in (0, 1))) for _ in range(_SIZES)],
    }
    shares = {**_SHARES, "pair": 100 - sum(_SHARES.values())}
    for name in chance.choices(list(shares), list(shares.values()), k=count):
        yield chance.choice(kinds[name])


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


def _pair(kind: str, source: bytes, target: bytes, **expected: Any) -> _Request:
    images = {"SourceImage": source, "TargetImage": target}
    body = {name: {"Bytes": b64encode(data).decode()} for name, data in images.items()}
    return _Request(kind, json.dumps(body).encode(), **expected)


def _refused() -> list[_Request]:
    face = portrait_pair(640, 480).source.read_bytes()
    empty = bytes(cv2.imencode(".jpg", np.full((480, 640, 3), 128, np.uint8))[1])
    noise = b"\xff\xd8\xff" + random.Random(7).randbytes(2000)
    return [
        _pair("no face", face, empty, status=400, error="InvalidParameterException"),
        _pair("cut off", face, face[: len(face) // 2]),
        _pair("broken", face, noise, status=400, error="InvalidImageFormatException"),
        _pair("no photo", face, b"GIF89a" + bytes(500), status=400, error="InvalidImageFormatException"),
        _Request("no JSON", b'{"SourceImage": {', status=400, error="SerializationException"),
        _Request("no signature", b"{}", status=400, error="MissingAuthenticationTokenException", signed=False),
        _pair("wrong signature", face, face, status=400, error="InvalidSignatureException", forged=True),
    ]


def _send(
    server: Server, request: _Request, number: int, connection: http.client.HTTPConnection | None
) -> tuple[int, bytes, http.client.HTTPConnection | None]:
    """Status and body of the answer, and the connection if it can be reused."""
    connection = connection or http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=_ANSWER_SECONDS)
    try:
        if request.path:
            connection.request("GET", request.path)
        else:
            connection.request("POST", "/", request.body, _headers(server, request, number))
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return 0, repr(error).encode(), None
    if answer.will_close:
        connection.close()
        return answer.status, body, None
    return answer.status, body, connection


def _headers(server: Server, request: _Request, number: int) -> dict[str, str]:
    headers = {"X-Amz-Target": "RekognitionService.CompareFaces", "Content-Type": "application/x-amz-json-1.1"}
    if not request.signed:
        return headers
    key_id, secret = server.keys[number % len(server.keys)]
    aws = AWSRequest("POST", server.url + "/", headers=headers, data=request.body)
    credentials = Credentials(key_id, "forged" if request.forged else secret)
    SigV4Auth(credentials, "rekognition", "us-east-1").add_auth(aws)
    return dict(aws.headers)
