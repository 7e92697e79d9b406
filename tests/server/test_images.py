"""Reads that never return: their requests are answered, and their threads are counted."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from likeness.aws.shapes import ImageReference, S3ObjectReference
from likeness.errors import InvalidS3Object
from likeness.server.images import ImageReader
from likeness.server.request_context import RequestContext

CONTEXT = RequestContext("POST", "/", "", (), "127.0.0.1", secure=False)


class HangingStore:
    """Returns nothing for bucket "hangs" until it is told to: a mount that is away, a name server that says nothing."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked = 0

    def fetch(self, bucket: str, name: str, version: str | None, *, max_bytes: int, deadline: float) -> bytes:
        self.asked += 1
        if bucket == "hangs":
            self.answers.wait()
        return b"photo"


@pytest.fixture
def store() -> Iterator[HangingStore]:
    store = HangingStore()
    yield store
    store.answers.set()


async def read(images: ImageReader, bucket: str, seconds: float) -> list[bytes]:
    photo: ImageReference = S3ObjectReference(bucket, "a.jpg", None)
    return await images.read([photo, photo], CONTEXT, asyncio.get_running_loop().time() + seconds)


def test_reads_that_hang_hold_a_bounded_number_of_threads(store: HangingStore) -> None:
    async def scene() -> None:
        images = ImageReader(store, max_bytes=100, requests=2)
        for held in (2, 4):
            with pytest.raises(InvalidS3Object, match="before the request's deadline"):
                await read(images, "hangs", 0.2)
            assert images.abandoned == held
        with pytest.raises(InvalidS3Object, match="all 4 threads wait"):  # at once, not at its deadline
            await asyncio.wait_for(read(images, "answers", 3600), 60)
        assert store.asked == 4
        store.answers.set()
        async with asyncio.timeout(60):
            while images.abandoned:
                await asyncio.sleep(0.01)
        assert await read(images, "answers", 60) == [b"photo", b"photo"]
        images.close()

    asyncio.run(scene())


def test_a_client_that_leaves_during_a_read_that_hangs_leaves_it_counted(store: HangingStore) -> None:
    async def scene() -> None:
        images = ImageReader(store, max_bytes=100, requests=2)
        reading = asyncio.ensure_future(read(images, "hangs", 3600))
        async with asyncio.timeout(60):
            while store.asked < 2:
                await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert images.abandoned == 2
        images.close()

    asyncio.run(scene())
