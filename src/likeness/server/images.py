"""The two images of a request: inline, or read from S3 at the same time."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from likeness.aws.policy import decide
from likeness.aws.quoting import brief
from likeness.aws.shapes import ImageReference, S3ObjectReference
from likeness.errors import InvalidS3Object, Throttled
from likeness.server.fair_queue import FairQueue, Ticket
from likeness.server.request_context import RequestContext
from likeness.sources.store import Store


class Places(Store, Protocol):
    """Several stores as one; `number` identifies the store of a bucket."""

    def __len__(self) -> int: ...

    def number(self, bucket: str) -> int:
        """See `likeness.sources.stores.Stores.number`."""
        ...


class ImageReader:
    """Turns references into bytes.

    Loaded objects wait for one of `threads` to compare them, so a limit on the requests that load or hold objects
    bounds the memory. The limit is higher than `threads`, so that loading and comparing overlap. Each store has a share
    of these requests and of the reading threads, so that one that hangs does not delay the others.
    """

    def __init__(
        self, stores: Places, *, max_bytes: int, threads: int, max_queue: int, origins: Collection[str] = ()
    ) -> None:
        """At most `max_queue` requests wait for a place; pages of `origins` need no signature to refer to objects."""
        self._origins = origins
        self._stores = stores
        self._max_queue = max_queue
        self._max_bytes = max_bytes
        requests = threads * max(2, len(stores))
        share = requests if len(stores) < 2 else threads
        self._turns = FairQueue(requests, most_of_store=share)
        #: How many abandoned reads of one store may hold threads before further reads of it are refused.
        self._most_held = 2 * share
        # For each store: two reads per request, and the abandoned reads.
        self._pool = ThreadPoolExecutor(max(1, len(stores)) * 3 * self._most_held, thread_name_prefix="s3")
        #: Reads that no request waits for, with the number of the store; they hold their threads until they return.
        self._abandoned: dict[Future[bytes], int] = {}

    @property
    def abandoned(self) -> int:
        """How many threads are held by reads that did not return in time, as when a mount or a name server hangs."""
        return len(self._abandoned)

    async def enter(self, references: Sequence[ImageReference], caller: str, deadline: float) -> Ticket | None:
        """A place to load the references; pass it to `leave` when the bytes are no longer held. None if all are inline.

        Raises Throttled at the deadline and when too many requests wait; InvalidS3Object for a bucket without a store.
        """
        stores = {self._stores.number(each.bucket) for each in references if isinstance(each, S3ObjectReference)}
        if not stores:
            return None
        # By stores too: a caller's requests do not wait behind those for another store that hangs.
        ticket = Ticket(f"{caller} {sorted(stores)}", stores=stores)
        if self._turns.waiting >= self._max_queue and not self._turns.displace(ticket):
            raise Throttled(f"{self._turns.waiting} requests wait to load from S3")
        taken = await self._turns.take(ticket, deadline)
        if taken is None:
            raise Throttled("this caller has most of the requests that wait to load from S3")
        if not taken:
            raise Throttled("no turn to load from S3 before the request's deadline")
        return ticket

    def leave(self, ticket: Ticket | None) -> None:
        """Releases the place that `enter` returned."""
        if ticket is not None:
            self._turns.give(ticket, ticket.seconds)

    async def read(
        self, references: Sequence[ImageReference], context: RequestContext, ticket: Ticket, deadline: float
    ) -> list[bytes]:
        """The bytes of each reference. Raises what `Store.fetch` does; if both fail, the error of the source.

        InvalidS3Object as well if the caller may not read an object.
        """
        _check_origin(context, self._origins)
        for reference in references:
            if isinstance(reference, S3ObjectReference):
                _check_allowed(reference, context)
        left = Counter(self._stores.number(each.bucket) for each in references if isinstance(each, S3ObjectReference))

        async def read_one(reference: ImageReference) -> bytes:
            if isinstance(reference, bytes):
                return reference
            store = self._stores.number(reference.bucket)
            try:
                return await self._fetch(reference, store, deadline)
            finally:
                left[store] -= 1
                if not left[store]:
                    self._turns.leave_store(ticket, store)

        answers = await asyncio.gather(*map(read_one, references), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        context.are_loaded = True
        return [answer for answer in answers if isinstance(answer, bytes)]

    async def _fetch(self, reference: S3ObjectReference, store: int, deadline: float) -> bytes:
        fetch = partial(
            self._stores.fetch,
            reference.bucket,
            reference.name,
            reference.version,
            max_bytes=self._max_bytes,
            deadline=deadline,
        )
        place = f"s3://{reference.bucket}/{reference.name}"
        held = sum(each == store for each in self._abandoned.values())
        if held >= self._most_held:
            raise InvalidS3Object(f"{place}: the store does not answer: {held} overdue reads hold threads", "timeout")
        reading = self._pool.submit(fetch)
        try:
            # The store checks the deadline between reads; this is for a read that does not return.
            async with asyncio.timeout_at(deadline):
                return await asyncio.wrap_future(reading)
        except TimeoutError as error:
            raise InvalidS3Object(
                f"{place}: the store did not send it before the request's deadline", "timeout"
            ) from error
        finally:
            if not reading.done() and not reading.cancel():
                self._abandoned[reading] = store
                loop = asyncio.get_running_loop()
                reading.add_done_callback(partial(_in_loop, loop, self._abandoned.pop))

    def close(self) -> None:
        """Stops the idle threads; busy ones stop at their timeouts."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _in_loop(loop: asyncio.AbstractEventLoop, forget: Callable[[Any, Any], object], reading: Future[bytes]) -> None:
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(forget, reading, None)


def _check_origin(context: RequestContext, origins: Collection[str]) -> None:
    """Refuses pages that would have the server read objects for them with its own credentials.

    Browsers add the Origin to every POST, also where a name of the page's own leads to this machine (DNS rebinding).
    """
    origin = context.header("origin")
    if context.identity is None and origin is not None and origin not in origins:
        raise InvalidS3Object(
            f"a web page of {brief(origin)} refers to it without a signature, and its origin is not in cors_origins"
        )


def _check_allowed(reference: S3ObjectReference, context: RequestContext) -> None:
    """Decision 12: the caller's policy must allow the object too. Unsigned callers have no policy and are allowed."""
    if context.identity is None:
        return
    decision = decide(context.identity.key.policies, reference.action, reference.arn, context.policy_context)
    if not decision.allowed:
        why = "denies" if decision.explicit_deny else "does not allow"
        raise InvalidS3Object(f"the policy of {context.identity.key.id} {why} {reference.action} on {reference.arn}")
