"""The local engine: photos described by the threads of one warm Comparer, each photo once."""

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from likeness.batch.describe import BatchOptions, describe
from likeness.batch.described import AS_SOURCE, AS_TARGET, DescribedPhoto, Failure
from likeness.batch.photos import Reads
from likeness.batch.plan import Plan
from likeness.batch.progress import Progress
from likeness.batch.store import FaceStore
from likeness.comparer import Comparer
from likeness.errors import RequestError

Content = bytes
#: Descriptions are written to the store so many at a time.
_KEPT_AT_ONCE = 64


def read_and_describe(
    comparer: Comparer, read: Reads, reference: str, roles: int, options: BatchOptions
) -> tuple[Content, DescribedPhoto]:
    """The key of a photo's content, and what the photo is; of one that cannot be read, why."""
    try:
        encoded = read(reference)
    except RequestError as error:
        failure = Failure.of(error)
        key = hashlib.sha256(b"unread " + reference.encode(errors="surrogateescape")).digest()
        return key, DescribedPhoto(failure if roles & AS_SOURCE else None, failure if roles & AS_TARGET else None)
    return hashlib.sha256(encoded).digest(), describe(comparer, encoded, roles, options)


class LocalPhotos(AbstractContextManager["LocalPhotos"]):
    """Photos of the plan by their reference; those that the store does not have are read and described."""

    def __init__(
        self, comparer: Comparer, read: Reads, options: BatchOptions, plan: Plan, store: FaceStore, progress: Progress
    ) -> None:
        self._comparer, self._read, self._options = comparer, read, options
        self._plan, self._store, self._progress = plan, store, progress
        self._pool = ThreadPoolExecutor(comparer.threads, thread_name_prefix="likeness-batch")
        self._running: dict[str, Future[tuple[Content, DescribedPhoto]]] = {}

    def begin(self, references: Iterable[str]) -> None:
        """Has photos described meanwhile, in this order, that are not known."""
        for reference in references:
            if reference not in self._running and self._known(reference) is None:
                self._running[reference] = self._pool.submit(
                    read_and_describe,
                    self._comparer,
                    self._read,
                    reference,
                    self._plan.roles(reference),
                    self._options,
                )

    def get(self, references: Iterable[str]) -> Mapping[str, DescribedPhoto]:
        """Descriptions of photos, by reference."""
        wanted = list(dict.fromkeys(references))
        self.begin(wanted)
        found: dict[str, DescribedPhoto] = {}
        fresh: list[tuple[str, Content, DescribedPhoto]] = []
        for reference in wanted:
            running = self._running.get(reference)
            if running is None:
                known = self._known(reference)
                if known is None:  # the store was full and has let it go
                    self.begin([reference])
                    running = self._running[reference]
                else:
                    found[reference] = known
                    continue
            content, described = running.result()
            found[reference] = described
            fresh.append((reference, content, described))
            self._progress.photo(failed=described.failed)
            if len(fresh) >= _KEPT_AT_ONCE:
                self._keep(fresh)
                fresh = []
        self._keep(fresh)
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def _known(self, reference: str) -> DescribedPhoto | None:
        content = self._plan.content(reference)
        return None if content is None else self._store.get(content, self._plan.roles(reference))

    def _keep(self, fresh: list[tuple[str, Content, DescribedPhoto]]) -> None:
        if not fresh:
            return
        # The store first: what the plan calls read must be in it.
        self._store.put((content, described) for _, content, described in fresh)
        self._plan.set_contents((reference, content) for reference, content, _ in fresh)
        for reference, _, _ in fresh:
            del self._running[reference]
