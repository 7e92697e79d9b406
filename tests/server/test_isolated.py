"""A server whose photos are decoded in processes of their own: what a photo may do to them, and how they end."""

import os
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from likeness.cli import serve as command
from likeness.errors import SettingsError
from likeness.isolation import process
from likeness.packs.loaded import pack_folder
from likeness.server.isolated import IsolatedComparer, decoding_in_force
from likeness.server.loader import load_comparer
from likeness.server.settings import Settings

from .conftest import Running, Serve, body, wait_for

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="decoders apart need Linux")

ISOLATED = Settings(isolate_decoding=True)
FAILING = Path(__file__).with_name("failing_decoders.py")
PACKS = {name: os.environ[name] for name in ("LIKENESS_HOME", "LIKENESS_OFFLINE") if name in os.environ}


def started(serve: Serve, *flags: str) -> Running:
    server = serve(*(flags or ("--isolate-decoding",)), program=FAILING, env=PACKS)
    server.wait_ready()
    return server


def decoders_of(pid: int) -> list[int]:
    """The decoder processes below a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            name = Path(f"/proc/{child}/comm").read_text().strip()
            found += [int(child)] if name == "likeness-decode" else decoders_of(int(child))
    return found


def metric(server: Running, name: str) -> float:
    lines = (line.rsplit(" ", 1) for line in server.get("/metrics").body.decode().splitlines())
    return next(float(value) for series, value in lines if series == name)


def lost_to_memory(server: Running) -> int:
    """How many decoders have been ended by SIGKILL: the kernel's way when there is no memory, and kill -9."""
    return int(metric(server, 'likeness_decoders_lost_total{cause="memory"}'))


def state(pid: int) -> str:
    """The letter of a process's state: S while a decoder waits for a photo, Z when it has ended."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def processor_seconds(pid: int) -> float:
    return time.clock_gettime(~pid << 3 | 2)


@pytest.fixture(scope="module")
def failing(serve: Serve, standard_pack: None) -> Running:
    return started(serve)


@pytest.fixture(scope="module")
def own_pack(serve: Serve, standard_pack: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Running, Path]:
    """A server with a copy of the pack, and that copy."""
    pack = shutil.copytree(pack_folder("standard"), tmp_path_factory.mktemp("pack") / "own")
    return started(serve, "--pack", str(pack)), pack


@pytest.fixture(scope="module")
def pair(portraits: dict[str, Path]) -> tuple[bytes, bytes]:
    return portraits["obama.jpg"].read_bytes(), portraits["obama2.jpg"].read_bytes()


def test_a_photo_that_crashes_its_decoder_costs_its_own_request(failing: Running, pair: tuple[bytes, bytes]) -> None:
    source, target = pair
    before = metric(failing, 'likeness_decoders_lost_total{cause="crash"}')
    answer = failing.request(body(source, target + b"crash"))
    assert (answer.status, answer.code) == (400, "InvalidImageFormatException")
    assert failing.log()[-1]["reason"].startswith("target photo: it cannot be decoded: the decoder ended (SIGSEGV)")
    assert failing.request(body(source, target)).status == 200
    assert metric(failing, 'likeness_decoders_lost_total{cause="crash"}') == before + 1


@pytest.mark.fault
def test_a_photo_without_end_of_memory_is_too_large(failing: Running, pair: tuple[bytes, bytes]) -> None:
    source, target = pair
    before = lost_to_memory(failing)
    answer = failing.request(body(source + b"allocate", target))
    assert (answer.status, answer.code) == (400, "ImageTooLargeException")
    assert "decoding it takes more memory than is allowed" in failing.log()[-1]["reason"]
    assert lost_to_memory(failing) == before
    assert failing.request(body(source, target)).status == 200


def test_decoders_killed_while_idle_cost_no_request(failing: Running, pair: tuple[bytes, bytes]) -> None:
    idle = decoders_of(failing.process.pid)
    assert idle
    for pid in idle:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(is_alive(pid) for pid in idle))
    assert [failing.request(body(*pair)).status for _ in range(2)] == [200, 200]
    assert set(idle).isdisjoint(decoders_of(failing.process.pid))


def refuse_the_photo_of_a_killed_decoder(server: Running, pair: tuple[bytes, bytes]) -> None:
    """Kills the one decoder that is at work, on a photo that occupies it."""
    wait_for(lambda: all(state(pid) == "S" for pid in decoders_of(server.process.pid)))
    used = {pid: processor_seconds(pid) for pid in decoders_of(server.process.pid)}
    source, target = pair
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.request, body(source, target + b"compute"))
        wait_for(lambda: any(processor_seconds(pid) > before + 0.2 for pid, before in used.items()))
        os.kill(max(used, key=lambda pid: processor_seconds(pid) - used[pid]), signal.SIGKILL)
        assert asked.result().code == "ImageTooLargeException"


@pytest.mark.fault
def test_decoders_killed_under_load_cost_at_most_the_photos_that_they_had(
    failing: Running, pair: tuple[bytes, bytes]
) -> None:
    right, lost = failing.request(body(*pair)).json, lost_to_memory(failing)
    refuse_the_photo_of_a_killed_decoder(failing, pair)
    assert lost_to_memory(failing) == lost + 1
    assert "a decoder was lost by a photo and is replaced (memory)" in failing.errors
    killed = 0
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(failing.request, body(*pair)) for _ in range(18)]
        while not all(each.done() for each in asked):
            with suppress(OSError):  # one that has ended meanwhile
                for pid in decoders_of(failing.process.pid) if killed < 8 else []:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
            done = sum(each.done() for each in asked)
            wait_for(lambda done=done: sum(each.done() for each in asked) > done or done == len(asked))
    answers = [each.result() for each in asked]
    refused = [answer.code for answer in answers if answer.status != 200]
    assert refused == ["ImageTooLargeException"] * len(refused)
    assert 2 <= killed >= len(refused)
    assert all(answer.json == right for answer in answers if answer.status == 200)
    assert failing.request(body(*pair)).json == right
    assert len(refused) <= lost_to_memory(failing) - lost - 1 <= killed


@pytest.mark.fault
@pytest.mark.parametrize("harm", ["damage", "truncate", "replace", "remove"])
def test_a_running_server_does_not_need_the_files_of_its_pack(
    harm: str, own_pack: tuple[Running, Path], pair: tuple[bytes, bytes], failing: Running
) -> None:
    server, pack = own_pack
    for file in [path for path in pack.rglob("*") if path.is_file()]:
        if harm == "damage":
            with file.open("r+b") as stream:
                stream.write(b"damaged" * 1000)
        elif harm == "truncate":
            os.truncate(file, 0)
        elif harm == "replace":
            (pack / "new").write_bytes(b"another")
            os.replace(pack / "new", file)
    if harm == "remove":
        shutil.rmtree(pack)
    source, target = pair
    assert server.request(body(source, target)).json == failing.request(body(source, target)).json
    assert server.request(body(target, source)).json == failing.request(body(target, source)).json


def test_the_metrics_say_which_layers_are_in_force(failing: Running) -> None:
    assert metric(failing, 'likeness_decoding_layers{layer="process"}') == 1
    assert metric(failing, 'likeness_decoding_layers{layer="limits"}') == 1
    said = decoding_in_force(ISOLATED)
    for layer in ("landlock", "seccomp"):
        in_force = metric(failing, f'likeness_decoding_layers{{layer="{layer}"}}') == 1
        assert in_force == (f"without {layer}" not in said)


def test_answers_are_the_same_without(serve: Serve, failing: Running, pair: tuple[bytes, bytes]) -> None:
    without = started(serve, "--no-isolate-decoding")
    assert without.request(body(*pair)).json == failing.request(body(*pair)).json
    assert metric(without, 'likeness_decoding_layers{layer="process"}') == 0
    assert not decoders_of(without.process.pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_decoder_outlives_its_server(number: int, serve: Serve, standard_pack: None) -> None:
    server = started(serve)
    decoders = decoders_of(server.process.pid)
    assert decoders
    server.stop(number)
    wait_for(lambda: not any(is_alive(pid) for pid in decoders))


def is_alive(pid: int) -> bool:
    """Whether there is such a process and it has not ended; who adopted it may not have looked yet."""
    try:
        return state(pid) not in ("Z", "X")
    except OSError:
        return False


def test_check_says_what_is_in_force(capsys, tmp_path: Path) -> None:
    given = ["--check", "--port", "0", "--keys", str(tmp_path / "none.json")]
    assert command.main([*given, "--isolate-decoding"]) == 0
    assert "\ndecoding: in processes of their own, with no_new_privileges, " in capsys.readouterr().out
    assert command.main([*given, "--no-isolate-decoding"]) == 0
    assert "\ndecoding: in the server's own process\n" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "value"), [("sys.executable", "/nowhere/python"), ("_PROGRAM", "raise SystemExit")])
def test_check_refuses_what_cannot_be_started(
    name: str, value: str, capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(f"likeness.isolation.process.{name}", value)
    given = ["--check", "--port", "0", "--keys", str(tmp_path / "none.json"), "--isolate-decoding"]
    assert command.main(given) == 252
    words = capsys.readouterr().err
    assert words.startswith("likeness serve: isolate_decoding: a decoder process cannot be started: ")
    assert "isolate_decoding = false" in words


@pytest.mark.parametrize("pixels", [10**15, 10**18, 10**30])
def test_a_limit_beyond_what_can_be_addressed_is_refused(pixels: int, capsys, tmp_path: Path) -> None:
    given = ["--check", "--port", "0", "--keys", str(tmp_path / "none.json"), "--max-pixels", str(pixels)]
    assert command.main([*given, "--isolate-decoding"]) == 252
    assert "Traceback" not in capsys.readouterr().err


def test_a_server_whose_decoders_do_not_start_does_not_start(
    standard_pack: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_PROGRAM", "raise SystemExit(3)")
    comparer = load_comparer(ISOLATED, 1)
    with pytest.raises(SettingsError, match="isolate_decoding: a decoder process cannot be started"):
        comparer.warm_up()
    comparer.close()


def test_closing_the_comparer_ends_its_decoders(standard_pack: None) -> None:
    comparer = load_comparer(ISOLATED, 2)
    assert isinstance(comparer, IsolatedComparer)
    comparer.warm_up()
    assert comparer.layers["process"]
    decoders = [each.pid for each in comparer.decoders._idle.queue if each is not None]
    assert len(decoders) == 2
    comparer.close()
    assert not any(is_alive(pid) for pid in decoders)
