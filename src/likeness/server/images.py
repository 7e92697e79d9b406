"""The two images of a request: inline, or from S3, then both at the same time."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from likeness.aws.policy import decide
from likeness.aws.shapes import ImageReference, S3ObjectReference
from likeness.errors import InvalidS3Object, Throttled
from likeness.server.fair_queue import FairQueue, Ticket
from likeness.server.request_context import RequestContext
from likeness.sources.store import Store


class Places(Store, Protocol):
    """Several stores as one: `number` tells which of them has a bucket, or raises InvalidS3Object."""

    def __len__(self) -> int: ...

    def number(self, bucket: str) -> int:
        """See `likeness.sources.stores.Stores.number`."""
        ...


class ImageReader:
    """Turns references into bytes.

    Objects loaded wait for one of `threads` to compare them, so only some requests may be loading or holding some: that
    bounds the memory. They are more than run, so that loading and comparing overlap. Each store has a share of them,
    and of the threads that read: one that hangs holds up no other.
    """

    def __init__(self, stores: Places, *, max_bytes: int, threads: int) -> None:
        self._stores = stores
        self._max_bytes = max_bytes
        requests = threads * max(2, len(stores))
        share = requests if len(stores) < 2 else threads
        self._turns = FairQueue(requests, most_of_store=share)
        #: How many threads of one store may be held by reads that nobody waits for, before it is refused at once.
        self._most_held = 2 * share
        # For each store the two reads of its requests, and as many again that became held while the last ones ran.
        self._pool = ThreadPoolExecutor(max(1, len(stores)) * 3 * self._most_held, thread_name_prefix="s3")
        #: Reads that no request waits for any more; they hold their threads until they return, if ever.
        self._abandoned: dict[Future[bytes], int] = {}

    @property
    def abandoned(self) -> int:
        """How many threads are held by reads that did not return in time: of a mount or a name server that hangs."""
        return len(self._abandoned)

    async def enter(self, references: Sequence[ImageReference], caller: str, deadline: float) -> Ticket | None:
        """A turn for these; give what it returns to `leave` when the bytes are no longer held.

        Raises Throttled, and InvalidS3Object for a bucket that no store has.
        """
        stores = {self._stores.number(each.bucket) for each in references if isinstance(each, S3ObjectReference)}
        if not stores:
            return None
        # Requests of one caller that need other stores do not wait behind those of one that hangs.
        ticket = Ticket(f"{caller} {sorted(stores)}", stores=stores)
        if not await self._turns.take(ticket, deadline):
            raise Throttled("no turn to load from S3 before the request's deadline")
        return ticket

    def leave(self, ticket: Ticket | None) -> None:
        """Gives back what `enter` returned."""
        if ticket is not None:
            self._turns.give(ticket, ticket.seconds)

    async def read(
        self, references: Sequence[ImageReference], context: RequestContext, ticket: Ticket, deadline: float
    ) -> list[bytes]:
        """The bytes of each. Errors are those of `Store.fetch`; where several fail, the first one's (the source's)."""
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
            raise InvalidS3Object(f"{place}: the store does not answer: {held} reads that are too late hold threads")
        reading = self._pool.submit(fetch)
        try:
            # The store watches the deadline itself, between reads; this is for a read that does not return.
            async with asyncio.timeout_at(deadline):
                return await asyncio.wrap_future(reading)
        except TimeoutError as error:
            raise InvalidS3Object(f"{place}: the store did not send it before the request's deadline") from error
        finally:
            if not reading.done() and not reading.cancel():
                self._abandoned[reading] = store
                loop = asyncio.get_running_loop()
                reading.add_done_callback(partial(_in_loop, loop, self._abandoned.pop))

    def close(self) -> None:
        """Ends the threads that wait; running ones end with their time-outs."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _in_loop(loop: asyncio.AbstractEventLoop, forget: Callable[[Any, Any], object], reading: Future[bytes]) -> None:
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(forget, reading, None)


def _check_allowed(reference: S3ObjectReference, context: RequestContext) -> None:
    """Decision 12: the caller's policy must allow the object too. Unsigned callers have no policy, and may."""
    if context.identity is None:
        return
    decision = decide(context.identity.key.policies, reference.action, reference.arn, context.policy_context)
    if not decision.allowed:
        why = "denies" if decision.explicit_deny else "does not allow"
        raise InvalidS3Object(f"the policy of {context.identity.key.id} {why} {reference.action} on {reference.arn}")
