"""Photos, decoders that fail on demand, and what there must be for any of it."""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from likeness.isolation import process
from likeness.isolation.decoders import Decoders
from likeness.isolation.process import DecoderLimits

MIB = 1024 * 1024
#: Tests wait for what must come; a limit that must be reached is short.
LIMITS = DecoderLimits(shared_bytes=64 * MIB, memory_bytes=512 * MIB, processor_seconds=60, seconds=120)

if not sys.platform.startswith("linux"):
    collect_ignore_glob = ["test_*.py"]


def jpeg(width: int = 320, height: int = 240) -> bytes:
    """A photo with a gradient in it."""
    down, across = np.ogrid[:height, :width]
    down, across = down.astype(np.uint8), across.astype(np.uint8)  # modulo 256
    pixels = np.stack(np.broadcast_arrays(across, down, across + down), axis=2)
    with io.BytesIO() as file:
        Pillow.fromarray(pixels).save(file, "JPEG", quality=90)
        return file.getvalue()


Start = Callable[..., Decoders]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts decoders that obey `failing`, and ends them after the test."""
    folder = str(Path(__file__).parent)
    obey = f"import likeness.isolation.decoder; sys.path.append({folder!r}); import failing; "
    monkeypatch.setattr(process, "_PROGRAM", process._PROGRAM.replace("from likeness", obey + "from likeness"))
    started: list[Decoders] = []

    def start(count: int = 1, limits: DecoderLimits = LIMITS) -> Decoders:
        started.append(Decoders(count, limits))
        return started[-1]

    yield start
    for decoders in started:
        decoders.close()
