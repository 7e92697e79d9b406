"""A run that is killed goes on where it stopped, and writes what it would have written."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.batch.conftest import LIKENESS, likeness

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]

#: `make kills` asks for more.
KILLS = int(os.environ.get("LIKENESS_KILLS", "6"))


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_killed_at_any_moment_the_output_is_the_same(many: Path, kind: signal.Signals) -> None:
    whole, broken = many / "whole.jsonl", many / f"broken-{kind}.jsonl"
    arguments = ["batch", many / "pairs.csv", "--output"]
    if not whole.exists():
        likeness(*arguments, whole)
    moments = random.Random(int(kind))
    killed = 0
    for _ in range(KILLS if kind == signal.SIGKILL else 3):
        process = subprocess.Popen(
            [LIKENESS, *map(str, arguments), broken], stderr=subprocess.PIPE, preexec_fn=heed_interrupts
        )
        if kind == signal.SIGINT:  # Python's own start answers Ctrl-C with a traceback
            wait_for_the_engine(process)
            time.sleep(moments.uniform(0.0, 0.3))
        else:
            time.sleep(moments.uniform(0.1, 1.0))
        process.send_signal(kind)
        _, said = process.communicate(timeout=120)
        killed += process.returncode != 0
        assert process.returncode in (0, -kind, 130)
        assert b"Traceback" not in said
        if process.returncode == 130:
            assert said.splitlines()[-1] == b"likeness: interrupted; the same command resumes the batch"
        if process.returncode == 0:  # it was done before the signal came
            begin_anew(broken)
    likeness(*arguments, broken)
    assert killed > 0
    assert broken.read_bytes() == whole.read_bytes()
    assert not list(many.rglob(".*.part"))
    begin_anew(broken)


def begin_anew(output: Path) -> None:
    shutil.rmtree(output.with_name(f"{output.name}.run"))
    output.unlink()


def heed_interrupts() -> None:
    """A shell starts what it runs in the background with Ctrl-C ignored, and so these tests and their processes."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for_the_engine(process: "subprocess.Popen[bytes]") -> None:
    """Waits until the process has loaded ONNX Runtime, or has ended."""
    end = time.monotonic() + 60
    while process.poll() is None and "onnxruntime" not in Path(f"/proc/{process.pid}/maps").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)
