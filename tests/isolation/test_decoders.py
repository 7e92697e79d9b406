"""Photos in other processes: the same pixels, and what a photo does to its decoder harms no other photo."""

import fcntl
import gc
import io
import mmap
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from likeness.errors import ImageTooLarge, InternalFailure, InvalidImageFormat
from likeness.image import Image, ImageLimits, open_image
from likeness.isolation import process
from likeness.isolation.decoders import Decoders
from likeness.isolation.process import DecoderLimits, DecoderProcess

from .conftest import LIMITS, MIB, Start, jpeg


def opened(data: bytes, decoders: Decoders) -> Image:
    return open_image(data, decode=decoders.decode)


def the_only(decoders: Decoders) -> DecoderProcess:
    """The process of decoders of which there is one, which has started."""
    decoders.layers()
    found = decoders._idle.get()
    decoders._idle.put(found)
    assert found is not None
    return found


def works(decoders: Decoders) -> bool:
    return opened(jpeg(), decoders).pixels().shape == (240, 320, 3)


def encoded(mode: str, kind: str, **options: object) -> bytes:
    noise = np.random.default_rng(7).integers(0, 256, (150, 203, 4), np.uint8)
    with io.BytesIO() as file:
        Pillow.fromarray(noise, "RGBA").convert(mode).save(file, kind, **options)
        return file.getvalue()


PHOTOS = {
    "JPEG": encoded("RGB", "JPEG", quality=90),
    "progressive": encoded("RGB", "JPEG", progressive=True),
    "grey": encoded("L", "JPEG"),
    "CMYK": encoded("CMYK", "JPEG"),
    "PNG": encoded("RGB", "PNG"),
    "transparent PNG": encoded("RGBA", "PNG"),
    "PNG with a palette": encoded("P", "PNG"),
    "turned": encoded("RGB", "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03"
                      b"\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"),
    "cut off": encoded("RGB", "JPEG", quality=90)[:-4000],
}  # fmt: skip


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    started = Decoders.for_photos(2, ImageLimits())
    yield started
    started.close()


@pytest.mark.parametrize(
    "data", [*PHOTOS.values(), PHOTOS["PNG"][:-3000], jpeg(2600, 2600)], ids=[*PHOTOS, "broken", "large"]
)
def test_no_photo_stays_in_the_shared_memory(data: bytes, start: Start) -> None:
    decoders = start()
    with suppress(InvalidImageFormat):
        opened(data, decoders).pixels()
    assert not np.frombuffer(the_only(decoders)._shared, np.uint8).any()


@pytest.mark.parametrize("reduction", [1, 2, 8])
@pytest.mark.parametrize("data", PHOTOS.values(), ids=PHOTOS)
def test_pixels_and_notes_are_those_of_decoding_here(data: bytes, reduction: int, decoders: Decoders) -> None:
    here, apart = open_image(data), opened(data, decoders)
    assert np.array_equal(apart.pixels(reduction), here.pixels(reduction))  # type: ignore[arg-type]
    assert apart.notes == here.notes
    assert not apart.pixels(reduction).flags.writeable  # type: ignore[arg-type]


def test_a_broken_photo_is_refused_in_the_same_words(decoders: Decoders) -> None:
    broken = bytearray(PHOTOS["PNG"])
    broken[60] ^= 255
    messages = []
    for image in (open_image(bytes(broken)), opened(bytes(broken), decoders)):
        with pytest.raises(InvalidImageFormat) as error:
            image.pixels()
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_pixels_in_use_are_not_overwritten(start: Start) -> None:
    decoders = start()
    photos = [jpeg(160 + 8 * number, 120) for number in range(8)]
    kept = [opened(data, decoders).pixels() for data in photos]
    assert sum(pixels.base is not None and pixels.base.base is not None for pixels in kept) == 2  # without a copy
    for data, pixels in zip(photos, kept, strict=True):
        assert np.array_equal(pixels, open_image(data).pixels())
    shared = kept[0]
    decoders.close()
    assert np.array_equal(shared, open_image(photos[0]).pixels())


def test_refused_photos_take_no_shared_memory(start: Start) -> None:
    decoders = start()
    broken = bytearray(PHOTOS["PNG"])
    broken[60] ^= 255
    refusals = []
    for _ in range(8):
        with pytest.raises(InvalidImageFormat) as refused:
            opened(bytes(broken), decoders).pixels()
        refusals.append(refused)
    assert works(decoders)


def test_many_threads_share_the_decoders(decoders: Decoders) -> None:
    photos = [jpeg(100 + 8 * number, 90) for number in range(24)]
    with ThreadPoolExecutor(6) as pool:
        shapes = list(pool.map(lambda data: opened(data, decoders).pixels().shape, photos))
    assert shapes == [(90, 100 + 8 * number, 3) for number in range(24)]


@pytest.mark.parametrize("ending", [b"crash", b"nonsense"])
def test_a_decoder_that_crashes_or_babbles_costs_only_its_photo(ending: bytes, start: Start) -> None:
    decoders = start()
    with pytest.raises(InvalidImageFormat):
        opened(jpeg() + ending, decoders).pixels()
    assert decoders.lost == {"crash": 1}
    assert works(decoders)


def test_a_crash_is_counted_and_its_decoder_replaced(start: Start) -> None:
    decoders = start()
    first = the_only(decoders).pid
    with pytest.raises(InvalidImageFormat, match="SIGSEGV"):
        opened(jpeg() + b"crash", decoders).pixels()
    assert decoders.lost == {"crash": 1}
    assert the_only(decoders).pid != first
    assert not Path(f"/proc/{first}").exists()


def test_a_decoder_that_hangs_is_given_up(start: Start) -> None:
    decoders = start(limits=replace(LIMITS, seconds=0.5))
    decoders.layers()
    with pytest.raises(ImageTooLarge, match="given up"):
        opened(jpeg() + b"hang", decoders).pixels()
    assert decoders.lost == {"time": 1}


def test_a_stopped_decoder_is_given_up_too(start: Start) -> None:
    decoders = start(limits=replace(LIMITS, seconds=0.5))
    os.kill(the_only(decoders).pid, signal.SIGSTOP)
    with pytest.raises(ImageTooLarge, match="given up"):
        opened(jpeg(), decoders).pixels()


def test_the_kernel_ends_a_decoder_that_computes_for_too_long(start: Start) -> None:
    decoders = start(limits=replace(LIMITS, processor_seconds=1))
    with pytest.raises(ImageTooLarge, match="processor time"):
        opened(jpeg() + b"compute", decoders).pixels()
    assert decoders.lost == {"time": 1}
    assert works(decoders)


def test_a_photo_that_wants_more_memory_than_there_may_be_is_too_large(start: Start) -> None:
    decoders = start()
    with pytest.raises(ImageTooLarge, match="memory"):
        opened(jpeg() + b"allocate", decoders).pixels()
    assert not decoders.lost
    assert works(decoders)


def test_a_photo_that_is_larger_than_its_part_of_the_shared_memory_is_refused(start: Start) -> None:
    """Its end would overwrite another photo."""
    decoders = start(limits=replace(LIMITS, shared_bytes=3 * 320 * 240 - mmap.PAGESIZE))
    with pytest.raises(ImageTooLarge, match="memory"):
        opened(jpeg(), decoders).pixels()
    assert opened(jpeg(), decoders).pixels(2).shape == (120, 160, 3)


def test_the_libraries_own_lack_of_memory_is_told_from_damage(start: Start) -> None:
    large = Pillow.new("RGB", (5000, 5000), (200, 30, 30))
    decoders = start(limits=replace(LIMITS, shared_bytes=100 * MIB, memory_bytes=24 * MIB))
    for kind, options in (("PNG", {}), ("JPEG", {"progressive": True})):
        with io.BytesIO() as file:
            large.save(file, kind, **options)
            photo = file.getvalue()
        with pytest.raises(ImageTooLarge, match="memory"):
            opened(photo, decoders).pixels()
    assert works(decoders)


def test_a_decoder_that_the_system_kills_counts_as_one_without_memory(start: Start) -> None:
    decoders = start()
    pid = the_only(decoders).pid
    with ThreadPoolExecutor(1) as pool:
        decoding = pool.submit(opened(jpeg() + b"hang", decoders).pixels)
        wait_for(lambda: decoders._idle.empty() and state_of(pid) == "S")
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ImageTooLarge, match="memory"):
            decoding.result(60)
    assert decoders.lost == {"memory": 1}


def test_one_that_ended_while_idle_costs_no_photo(start: Start) -> None:
    decoders = start()
    ended = the_only(decoders)
    os.kill(ended.pid, signal.SIGKILL)
    ended._process.wait(60)
    assert works(decoders)
    assert decoders.lost == {"memory": 1}


def test_what_a_decoder_says_is_cut_and_without_control_characters(start: Start) -> None:
    decoders = start()
    with pytest.raises(InvalidImageFormat) as error:
        opened(jpeg() + b"lie", decoders).pixels()
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 600


def test_without_a_new_decoder_the_photo_is_not_to_blame(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    decoders = start()
    decoders.layers()
    monkeypatch.setattr(process.sys, "executable", "/nowhere/python")
    with pytest.raises(InvalidImageFormat):
        opened(jpeg() + b"crash", decoders).pixels()
    for _ in range(2):
        with pytest.raises(InternalFailure, match="cannot be started"):
            opened(jpeg(), decoders).pixels()
    monkeypatch.undo()
    assert works(decoders)


def test_one_that_does_not_start_says_so(start: Start, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    monkeypatch.setattr(process, "_PROGRAM", "raise SystemExit(3)")
    decoders = start()
    with pytest.raises(OSError, match="ended before it had started"):
        decoders.layers()
    with pytest.raises(InternalFailure, match="ended before it had started"):
        opened(jpeg(), decoders).pixels()


def test_memory_of_large_photos_is_given_back(start: Start) -> None:
    decoders = start()
    before = shared_kilobytes()
    assert opened(jpeg(4000, 3000), decoders).pixels().nbytes == 36_000_000
    assert shared_kilobytes() - before < 20_000


def test_a_decoder_cannot_change_the_size_of_the_shared_memory() -> None:
    """A server that touches memory that is no longer there ends."""
    descriptor = process._sealed_memory(8192)
    try:
        for size in (0, 4096, 16384):
            with pytest.raises(PermissionError):
                os.ftruncate(descriptor, size)
        with pytest.raises(PermissionError):
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    finally:
        os.close(descriptor)


def test_decoders_that_end_or_do_not_start_leave_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    def descriptors() -> int:
        gc.collect()
        return len(os.listdir("/dev/fd"))

    before = descriptors()
    ended = DecoderProcess(LIMITS)
    ended.close()
    assert not Path(f"/proc/{ended.pid}").exists()
    assert descriptors() == before + 1  # the memory, which pixels may still use
    del ended
    assert descriptors() == before
    monkeypatch.setattr(process.sys, "executable", "/nowhere/python")
    # Not `pytest.raises`, which keeps the error, and with it the process.
    with suppress(OSError):
        DecoderProcess(LIMITS)
    assert descriptors() == before


def test_where_not_all_decoders_start_none_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[DecoderProcess] = []

    def start(limits: DecoderLimits) -> DecoderProcess:
        if started:
            raise OSError("no more processes")
        started.append(DecoderProcess(limits))
        return started[0]

    monkeypatch.setattr("likeness.isolation.decoders.DecoderProcess", start)
    with pytest.raises(OSError, match="no more processes"):
        Decoders(2, LIMITS)
    assert started[0].has_ended


def test_limits_let_through_what_the_header_checks_do() -> None:
    limits = DecoderLimits.allowing(ImageLimits())
    assert limits.shared_bytes >= 300_000_000
    assert limits.processor_seconds > ImageLimits().max_decoding_seconds
    assert limits.seconds > limits.processor_seconds


def shared_kilobytes() -> int:
    """Shared memory that this process has touched and that is still there."""
    return sum(
        int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssSh")
    )


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
