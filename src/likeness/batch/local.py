"""The local engine: threads of one Comparer analyse each photo once.

Threads rather than processes: on two cores they have at least 0.9 of the throughput of processes
(`python benchmarks/batch.py engines`), share one engine's memory, and end with the process.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self, TypeVar

from likeness.batch.describe import BatchOptions, describe
from likeness.batch.described import AS_SOURCE, AS_TARGET, DescribedPhoto, Failure
from likeness.batch.photos import Reads
from likeness.batch.plan import Plan
from likeness.batch.progress import Progress
from likeness.batch.rows import Row
from likeness.batch.store import FaceStore
from likeness.comparer import Comparer
from likeness.errors import RequestError

Content = bytes
#: Maps a content to its description, in any roles; several threads call it at once.
Known = Callable[[Content], DescribedPhoto | None]
Item = TypeVar("Item")
#: How many descriptions are written to the store at a time.
_KEPT_AT_ONCE = 64
#: The photos per thread that are in progress or waiting for their use, and the faces that are compared at a time: both
#: limit the memory.
_IN_FLIGHT, _FACES_AT_ONCE = 64, 8192


def read_and_describe(
    comparer: Comparer, read: Reads, reference: str, roles: int, options: BatchOptions, known: Known
) -> tuple[Content, DescribedPhoto]:
    """The key of a photo's content, and its description in `roles`, or its failure if it cannot be read. A `known`
    content is not analysed again.
    """
    try:
        encoded = read(reference)
    except RequestError as error:
        failure = Failure.of(error)
        key = hashlib.sha256(b"unread " + reference.encode(errors="surrogateescape")).digest()
        return key, DescribedPhoto(failure if roles & AS_SOURCE else None, failure if roles & AS_TARGET else None)
    key = hashlib.sha256(encoded).digest()
    there = known(key)
    if there is None:
        return key, describe(comparer, encoded, roles, options)
    if there.roles & roles == roles:
        return key, there
    return key, describe(comparer, encoded, roles | there.roles, options)


def one_ahead(items: Iterator[Item], begin: Callable[[Item], None]) -> Iterator[Item]:
    """Yields each item after `begin` is called for the next."""
    current = next(items, None)
    if current is not None:
        begin(current)
    while current is not None:
        following = next(items, None)
        if following is not None:
            begin(following)
        yield current
        current = following


class LocalPhotos(AbstractContextManager["LocalPhotos"]):
    """The photos of the plan by reference; those that are not in the store are read and analysed."""

    def __init__(
        self, comparer: Comparer, read: Reads, options: BatchOptions, plan: Plan, store: FaceStore, progress: Progress
    ) -> None:
        self._comparer, self._read, self._options = comparer, read, options
        self._plan, self._store, self._progress = plan, store, progress
        self._pool = ThreadPoolExecutor(comparer.threads, thread_name_prefix="likeness-batch")
        self._running: dict[str, Future[tuple[Content, DescribedPhoto]]] = {}
        self._most_running = _IN_FLIGHT * comparer.threads
        self._waiting: deque[str] = deque()
        self._fresh: dict[str, tuple[Content, DescribedPhoto]] = {}

    def begin(self, references: Iterable[str]) -> None:
        """Starts to analyse photos that are not known, in this order, as far ahead as memory allows."""
        self._waiting.extend(references)
        self._start_waiting()

    def get(self, reference: str) -> DescribedPhoto:
        """The description of a photo."""
        if reference in self._fresh:
            return self._fresh[reference][1]
        if reference not in self._running:
            known = self._known(reference)
            if known is not None:
                return known
            self._start(reference)  # not started yet, or evicted from a full store
        content, described = self._running.pop(reference).result()
        self._fresh[reference] = content, described
        self._progress.photo(failed=described.failed)
        if len(self._fresh) >= _KEPT_AT_ONCE:
            self.keep()
        self._start_waiting()
        return described

    def portions(self, rows: Sequence[Row]) -> Iterator[tuple[list[Row], Mapping[str, DescribedPhoto]]]:
        """The rows in order with their photos, in portions whose photos fit into memory."""
        some: list[Row] = []
        photos: dict[str, DescribedPhoto] = {}
        faces = 0
        for row in rows:
            for reference in (row.source, row.target):
                if reference not in photos:
                    photos[reference] = self.get(reference)
                    faces += photos[reference].faces
            some.append(row)
            if faces >= _FACES_AT_ONCE:
                yield some, photos
                some, photos, faces = [], {}, 0
        if some:
            yield some, photos

    def keep(self) -> None:
        """Writes new descriptions to the store."""
        # The store first, as it must contain what the plan marks as read.
        self._store.put(self._fresh.values())
        self._plan.set_contents((reference, content) for reference, (content, _) in self._fresh.items())
        self._fresh.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def _known(self, reference: str) -> DescribedPhoto | None:
        content = self._plan.content(reference)
        found = None if content is None else self._store.get(content)
        return found if found is not None and self._covers(found, reference) else None

    def _covers(self, photo: DescribedPhoto, reference: str) -> bool:
        roles = self._plan.roles(reference)
        return photo.roles & roles == roles

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self._most_running:
            reference = self._waiting.popleft()
            if reference not in self._running and reference not in self._fresh and self._known(reference) is None:
                self._start(reference)

    def _start(self, reference: str) -> None:
        roles = self._plan.roles(reference)
        self._running[reference] = self._pool.submit(
            read_and_describe, self._comparer, self._read, reference, roles, self._options, self._store.known
        )
