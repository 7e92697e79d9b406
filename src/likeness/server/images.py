"""The two images of a request: inline, or from S3, then both at the same time."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from likeness.aws.policy import decide
from likeness.aws.shapes import ImageReference, S3ObjectReference
from likeness.errors import InvalidS3Object, Throttled
from likeness.server.fair_queue import FairQueue, Ticket
from likeness.server.request_context import RequestContext
from likeness.sources.store import Store


class ImageReader:
    """Turns references into bytes.

    Objects loaded wait for a thread to compare them, so only `requests` requests may be loading or holding some: that
    bounds the memory.
    """

    def __init__(self, store: Store, *, max_bytes: int, requests: int) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._turns = FairQueue(requests)
        self._threads = 2 * requests
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="s3")
        #: Reads that no request waits for any more; they hold their threads until they return, if ever.
        self._abandoned: set[Future[bytes]] = set()

    @property
    def abandoned(self) -> int:
        """How many threads are held by reads that did not return in time: of a mount or a name server that hangs."""
        return sum(not each.done() for each in list(self._abandoned))

    async def enter(self, references: Sequence[ImageReference], caller: str, deadline: float) -> Ticket | None:
        """A turn for these; give what it returns to `leave` when the bytes are no longer held. Raises Throttled."""
        if not any(isinstance(each, S3ObjectReference) for each in references):
            return None
        ticket = Ticket(caller)
        if not await self._turns.take(ticket, deadline):
            raise Throttled("no turn to load from S3 before the request's deadline")
        return ticket

    def leave(self, ticket: Ticket | None) -> None:
        """Gives back what `enter` returned."""
        if ticket is not None:
            self._turns.give(ticket, ticket.seconds)

    async def read(self, references: Sequence[ImageReference], context: RequestContext, deadline: float) -> list[bytes]:
        """The bytes of each. Errors are those of `Store.fetch`; where several fail, the first one's (the source's)."""
        for reference in references:
            if isinstance(reference, S3ObjectReference):
                _check_allowed(reference, context)
        answers = await asyncio.gather(*(self._read_one(each, deadline) for each in references), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [answer for answer in answers if isinstance(answer, bytes)]

    async def _read_one(self, reference: ImageReference, deadline: float) -> bytes:
        if isinstance(reference, bytes):
            return reference
        fetch = partial(
            self._store.fetch,
            reference.bucket,
            reference.name,
            reference.version,
            max_bytes=self._max_bytes,
            deadline=deadline,
        )
        place = f"s3://{reference.bucket}/{reference.name}"
        if self.abandoned >= self._threads:
            raise InvalidS3Object(f"{place}: all {self._threads} threads wait for stores that do not answer")
        reading = self._pool.submit(fetch)
        try:
            # The store watches the deadline itself, between reads; this is for a read that does not return.
            async with asyncio.timeout_at(deadline):
                return await asyncio.wrap_future(reading)
        except TimeoutError as error:
            raise InvalidS3Object(f"{place}: the store did not send it before the request's deadline") from error
        finally:
            if not reading.done() and not reading.cancel():
                self._abandoned.add(reading)
                reading.add_done_callback(self._abandoned.discard)

    def close(self) -> None:
        """Ends the threads that wait; running ones end with their time-outs."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _check_allowed(reference: S3ObjectReference, context: RequestContext) -> None:
    """Decision 12: the caller's policy must allow the object too. Unsigned callers have no policy, and may."""
    if context.identity is None:
        return
    decision = decide(context.identity.key.policies, reference.action, reference.arn, context.policy_context)
    if not decision.allowed:
        why = "denies" if decision.explicit_deny else "does not allow"
        raise InvalidS3Object(f"the policy of {context.identity.key.id} {why} {reference.action} on {reference.arn}")
