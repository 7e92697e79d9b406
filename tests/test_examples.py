"""Every program of `examples/` does what its docstring says."""

import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from tests.listening import address_of, exit_code

from likeness import Comparer

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
pytestmark = pytest.mark.engine


def run(example: str, *arguments: str | Path, said: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / example), *map(str, arguments)],
        input=said,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def loaded(example: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(example, EXAMPLES / f"{example}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_id_photo_and_a_selfie_of_one_person_are_accepted(portraits: dict[str, Path]) -> None:
    ended = run("id_check.py", portraits["obama.jpg"], portraits["obama2.jpg"])
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("accepted: Similarity")


def test_photos_of_two_people_are_refused(portraits: dict[str, Path]) -> None:
    ended = run("id_check.py", portraits["obama.jpg"], portraits["biden.jpg"])
    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout.startswith("refused: Similarity")


@pytest.mark.parametrize(("said", "outcome", "code"), [("y\n", "accepted", 0), ("\n", "refused", 1)])
def test_a_person_decides_the_pairs_in_doubt(
    portraits: dict[str, Path], tmp_path: Path, said: str, outcome: str, code: int
) -> None:
    selfie = tmp_path / "selfie.jpg"
    selfie.write_bytes(b"not a photo")
    ended = run("id_check.py", portraits["obama.jpg"], selfie, said=said)
    assert ended.returncode == code
    assert "review: the photos cannot be compared" in ended.stdout
    assert ended.stdout.endswith(f"{outcome}: decided by a person\n")


def test_one_person_in_a_folder(portraits: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name, at in (("obama2.jpg", "deep/one.jpg"), ("biden.jpg", "other.jpg"), ("obama.jpg", "same.JPG")):
        shutil.copy(portraits[name], tmp_path / at)
    (tmp_path / "broken.png").write_bytes(b"not a photo")
    ended = run("find_person.py", portraits["obama.jpg"], tmp_path)
    assert ended.returncode == 0
    assert [line.split()[1] for line in ended.stdout.splitlines()] == [
        str(tmp_path / "same.JPG"),
        str(tmp_path / "deep/one.jpg"),
    ]
    assert ended.stderr.startswith(str(tmp_path / "broken.png"))


@pytest.fixture
def bucket(portraits: dict[str, Path]) -> Iterator[str]:
    """The address of an S3 server with the bucket `photos-example`."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    url = "http://{}:{}".format(*moto.get_host_and_port())
    s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    s3.create_bucket(Bucket="photos-example")
    for name in ("obama.jpg", "obama2.jpg"):
        s3.upload_file(str(portraits[name]), "photos-example", name)
    yield url
    moto.stop()


@pytest.fixture
def server(bucket: str, tmp_path: Path) -> Iterator[str]:
    """`likeness serve` that takes objects from that S3."""
    command = [Path(sys.executable).with_name("likeness"), "serve", "--port", "0", "--s3-endpoint-url", bucket]
    command += ["--auth", "none", "--s3-access-key-id", "a"]
    log = tmp_path / "stderr"
    with log.open("wb") as stream:
        environment = os.environ | {"LIKENESS_S3_SECRET_ACCESS_KEY": "b"}
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=stream)
    try:
        yield address_of(process, log)
    finally:
        process.terminate()
        assert exit_code(process, log) == 0


def test_boto3_with_photos_in_s3(server: str) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIDANYTHING", "AWS_SECRET_ACCESS_KEY": "anything"}
    given = ("photos-example", "obama.jpg")
    ended = run("boto3_s3.py", *given, "obama2.jpg", "--endpoint-url", server, **keys)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert float(ended.stdout.split()[0]) > 90
    assert ended.stdout.endswith("0 other faces\n")
    ended = run("boto3_s3.py", *given, "none.jpg", "--endpoint-url", server, **keys)
    assert ended.returncode == 1
    assert "InvalidS3ObjectException" in ended.stderr


class Client:
    """Talks to an ASGI application as a server does."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._lifespan: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def __aenter__(self) -> "Client":
        self._living = asyncio.create_task(self._application({"type": "lifespan"}, self._lifespan.get, self._said.put))
        await self._lifespan.put({"type": "lifespan.startup"})
        assert (await self._said.get())["type"] == "lifespan.startup.complete"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._lifespan.put({"type": "lifespan.shutdown"})
        await self._living

    async def post(self, **photos: bytes) -> tuple[int, bytes]:
        parts = [
            b'--x\r\nContent-Disposition: form-data; name="%s"; filename="f"\r\n\r\n%s\r\n' % (name.encode(), photo)
            for name, photo in photos.items()
        ]
        messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        messages.append({"type": "http.request", "body": b"--x--\r\n"})
        headers = [(b"content-type", b"multipart/form-data; boundary=x")]
        answered: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        async def send(message: dict[str, Any]) -> None:
            answered.append(message)

        await self._application({"type": "http", "method": "POST", "headers": headers}, receive, send)
        return answered[0]["status"], answered[1]["body"]


def test_an_asgi_application_follows_its_lifespan_under_optimisation() -> None:
    """`python -O` leaves assertions out, and what they call."""
    file = EXAMPLES / "asgi_application.py"
    received: list[int] = []
    sent: list[str] = []
    example: dict[str, Any] = {"__name__": "optimised"}
    exec(compile(file.read_text("utf-8"), str(file), "exec", optimize=1), example)
    example["_warm_comparer"] = lambda: SimpleNamespace(close=lambda: None)

    async def receive() -> dict[str, str]:
        received.append(len(sent))
        return {}

    async def send(message: dict[str, str]) -> None:
        sent.append(message["type"])

    asyncio.run(example["Application"]()({"type": "lifespan"}, receive, send))
    assert received == [0, 1]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_an_asgi_application_compares_without_blocking_its_loop(
    portraits: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    example = loaded("asgi_application")
    photo, other = portraits["obama.jpg"].read_bytes(), portraits["biden.jpg"].read_bytes()

    compare, compared, goes_on = Comparer.compare, threading.Event(), threading.Event()

    def compare_while_the_loop_goes_on(*given: Any, **how: Any) -> Any:
        compared.set()
        assert goes_on.wait(60), "the loop is blocked during a comparison"
        return compare(*given, **how)

    monkeypatch.setattr(Comparer, "compare", compare_while_the_loop_goes_on)

    async def go_on() -> None:
        while not compared.is_set():
            await asyncio.sleep(0.01)
        goes_on.set()

    async def scenario() -> None:
        async with Client(example.Application()) as client:
            ticking = asyncio.create_task(go_on())
            answers = await asyncio.gather(*(client.post(source=photo, target=other) for _ in range(12)))
            await ticking
            assert [status for status, _ in answers] == [200] * 12
            assert b"UnmatchedFaces" in answers[0][1]
            crowd = await asyncio.gather(*(client.post(source=photo, target=other) for _ in range(30)))
            assert sorted({status for status, _ in crowd}) == [200, 503]
            assert (await client.post(source=photo))[0] == 400
            assert (await client.post(source=photo, target=b"not a photo"))[0] == 400
            assert (await client.post(source=photo, target=bytes(example.MOST_BYTES)))[0] == 400

    asyncio.run(scenario())
