"""Reads that never return: their requests are answered, and their threads are counted."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from likeness.aws.shapes import ImageReference, S3ObjectReference
from likeness.errors import InvalidS3Object, Throttled
from likeness.server.images import ImageReader
from likeness.server.request_context import RequestContext

CONTEXT = RequestContext("POST", "/", "", (), "127.0.0.1", secure=False)


class HangingStore:
    """Returns nothing for bucket "hangs" until it is told to: a mount that is away, a name server that says nothing."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked = 0

    def __len__(self) -> int:
        return 2

    def number(self, bucket: str) -> int:
        return int(bucket == "hangs")

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


async def read(images: ImageReader, seconds: float, *buckets: str) -> list[bytes]:
    photos: list[ImageReference] = [S3ObjectReference(bucket, "a.jpg", None) for bucket in buckets]
    deadline = asyncio.get_running_loop().time() + seconds
    turn = await images.enter(photos, CONTEXT.caller, deadline)
    assert turn is not None
    try:
        return await images.read(photos, CONTEXT, turn, deadline)
    finally:
        images.leave(turn)


def test_reads_that_hang_hold_a_bounded_number_of_threads_and_no_other_store(store: HangingStore) -> None:
    async def scene() -> None:
        images = ImageReader(store, max_bytes=100, threads=2, max_queue=64)
        for held in (2, 4):
            with pytest.raises(InvalidS3Object, match="before the request's deadline"):
                await read(images, 0.2, "hangs", "hangs")
            assert images.abandoned == held
        with pytest.raises(InvalidS3Object, match="4 overdue reads"):  # at once, not at its deadline
            await asyncio.wait_for(read(images, 3600, "hangs", "hangs"), 60)
        assert store.asked == 4
        assert await read(images, 60, "answers", "answers") == [b"photo", b"photo"]
        store.answers.set()
        async with asyncio.timeout(60):
            while images.abandoned:
                await asyncio.sleep(0.01)
        assert await read(images, 60, "hangs", "hangs") == [b"photo", b"photo"]
        images.close()

    asyncio.run(scene())


@pytest.mark.parametrize("buckets", [("hangs", "hangs"), ("hangs", "answers"), ("answers", "hangs")])
def test_requests_to_a_store_that_hangs_hold_up_no_other(store: HangingStore, buckets: tuple[str, str]) -> None:
    """Not even those of the same caller, and those that read from both."""

    async def scene() -> None:
        images = ImageReader(store, max_bytes=100, threads=2, max_queue=64)
        hanging = [asyncio.ensure_future(read(images, 3600, *buckets)) for _ in range(20)]
        async with asyncio.timeout(60):
            while not store.asked:
                await asyncio.sleep(0.01)
            for _ in range(5):
                assert await read(images, 60, "answers", "answers") == [b"photo", b"photo"]
        store.answers.set()
        assert await asyncio.gather(*hanging) == [[b"photo", b"photo"]] * 20
        images.close()

    asyncio.run(scene())


def test_no_more_requests_wait_for_a_store_that_hangs_than_may(store: HangingStore) -> None:
    """Each would hold a connection until its deadline; requests for other stores take the places of those that wait."""

    async def scene() -> None:
        images = ImageReader(store, max_bytes=100, threads=2, max_queue=3)
        hanging = [asyncio.ensure_future(read(images, 3600, "hangs")) for _ in range(5)]
        async with asyncio.timeout(60):
            while store.asked < 2:
                await asyncio.sleep(0.01)
            with pytest.raises(Throttled, match="3 requests wait"):
                await read(images, 3600, "hangs")
            assert await read(images, 60, "answers") == [b"photo"]
        store.answers.set()
        outcomes = await asyncio.gather(*hanging, return_exceptions=True)
        assert [type(each) for each in outcomes].count(Throttled) == 1
        images.close()

    asyncio.run(scene())


def test_a_client_that_leaves_during_a_read_that_hangs_leaves_it_counted(store: HangingStore) -> None:
    async def scene() -> None:
        images = ImageReader(store, max_bytes=100, threads=2, max_queue=64)
        reading = asyncio.ensure_future(read(images, 3600, "hangs", "hangs"))
        async with asyncio.timeout(60):
            while store.asked < 2:
                await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert images.abandoned == 2
        images.close()

    asyncio.run(scene())
