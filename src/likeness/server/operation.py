"""CompareFaces over the wire: the evaluation order of the front end (specification section 2.4), then the engine."""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from likeness.aws import protocol
from likeness.aws.errors import WireError
from likeness.aws.key_file import KeyFile
from likeness.aws.keys import Key
from likeness.aws.policy import authorize, decide
from likeness.aws.protocol import Cors, WireResponse
from likeness.aws.shapes import ACTION, CompareFacesRequest, ImageReference
from likeness.aws.signature import Request, Rules, verify
from likeness.errors import InternalFailure, RequestError
from likeness.faces import Comparison
from likeness.server.admission import COSTLY_SECONDS, Admission
from likeness.server.bodies import BodyLimits, BodyMemory, BodyTooSlow, ClientLeft, Receive, declared_bytes, read_body
from likeness.server.decoding_cost import decoding_cost
from likeness.server.fair_queue import Ticket
from likeness.server.images import ImageReader
from likeness.server.loader import Compares, Loader
from likeness.server.rates import Rates
from likeness.server.refusals import refuse, segments
from likeness.server.request_context import RequestContext
from likeness.server.settings import Settings
from likeness.server.several_packs import comparer_of

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Bodies up to this are parsed and checked in the event loop, which takes 0.8 ms a megabyte, 16 ms at worst (broken
#: base64): passing one to a thread and back costs about as much. Larger ones go to a thread.
_INLINE_BYTES = 1024 * 1024
#: While requests wait for a processor in any worker, those without a valid signature are answered with this delay:
#: nothing else limits how many of them a client sends, and each costs processor time that the waiting requests lack.
_REFUSAL_SECONDS = 1.0
#: The rate limit's bucket for unsigned requests.
_ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Operation:
    """Answers requests. One per worker; not thread-safe: for one event loop."""

    settings: Settings
    cors: Cors
    keys: KeyFile | None
    rates: Rates
    loader: Loader
    admission: Admission
    #: For requests whose photos take long to decode.
    costly_admission: Admission
    memory: BodyMemory
    images: ImageReader
    parser: ThreadPoolExecutor

    async def answer(self, context: RequestContext, receive: Receive) -> WireResponse:
        """The response to a request. Raises ClientLeft when the client disconnects."""
        try:
            response = await self._answer(context, receive)
        except (RequestError, WireError) as error:
            context.error = error
            _drop_frames(error)
            response = protocol.failure(error, context.request_id, verbose=self.settings.verbose_errors)
        except BodyTooSlow as error:
            response = refuse(408, context.request_id, str(error))
        except (ClientLeft, asyncio.CancelledError) as leaving:
            _drop_frames(leaving)
            raise
        except Exception as bug:  # noqa: BLE001 - any bug becomes a response
            # The caller gets the service's InternalServerError; the cause goes to the log.
            _log.exception("request %s failed", context.request_id)
            place = traceback.extract_tb(bug.__traceback__)[-1]
            reason = f"{type(bug).__name__} in {Path(place.filename).name}:{place.lineno}; see the events"
            _drop_frames(bug)
            context.error = InternalFailure(reason)
            response = protocol.failure(context.error, context.request_id)
        if context.identity is None:
            await self.defer()
        return response if context.method == "OPTIONS" else self.cors.decorate(response, context.header("origin"))

    async def defer(self) -> None:
        """Waits before an answer to a request without a valid signature, while others wait for a processor."""
        if self.keys is not None and self.admission.waiting_everywhere:
            await asyncio.sleep(_REFUSAL_SECONDS)

    async def _answer(self, context: RequestContext, receive: Receive) -> WireResponse:
        deadline = asyncio.get_running_loop().time() + self.settings.request_deadline_seconds
        with self.memory.share(context.network, declared_bytes(context)) as share:
            with context.timed("receive"):
                body = await read_body(context, receive, limits=self._body_limits, memory=self.memory, share=share)
            routed = self._route(context)
            if routed is not None:
                return routed
            # The parser takes the body over and releases it when done.
            held = [body]
            del body
            comparison = await _unless_client_leaves(self._work(context, held, deadline), receive)
        context.trace = comparison.trace
        context.seconds |= comparison.trace.seconds
        return protocol.success(comparison, context.request_id)

    @property
    def _body_limits(self) -> BodyLimits:
        settings = self.settings
        return BodyLimits(
            settings.body_limit_bytes, settings.body_timeout_seconds, settings.least_body_bytes_per_second
        )

    def _route(self, context: RequestContext) -> WireResponse | None:
        ours = segments(context.path) in ((), segments(self.settings.path_prefix))
        # An unknown path gets the response for an unknown content type: table 2.4, row 4.
        headers = context.headers if ours else ()
        routed = protocol.route(context.method, headers, request_id=context.request_id, cors=self.cors)
        if routed is not None:
            context.target = context.header("x-amz-target")
        return routed

    async def _work(self, context: RequestContext, held: list[bytearray], deadline: float) -> Comparison:
        images, request = await self._checked(context, held)
        self.rates.take(context.identity.key.charged_id if context.identity else _ANONYMOUS)
        return await self._compared(context, request, images, deadline)

    async def _checked(
        self, context: RequestContext, held: list[bytearray]
    ) -> tuple[list[ImageReference], CompareFacesRequest]:
        """The images and the rest of a request. Raises RequestError or WireError if it is invalid or not allowed."""
        with context.timed("check"):
            if len(held[0]) <= _INLINE_BYTES:
                request = self._check(context, held)
            else:
                loop = asyncio.get_running_loop()
                request = await loop.run_in_executor(self.parser, partial(self._check, context, held))
        images = [request.source, request.target]
        context.request = replace(request, source=_without_photo(request.source), target=_without_photo(request.target))
        return images, context.request

    def _check(self, context: RequestContext, held: list[bytearray]) -> CompareFacesRequest:
        """Rows 7 to 12 of table 2.4. May run in a thread."""
        body = held.pop()
        document = protocol.parse_body(body)
        if self.keys is not None:
            signed = Request(context.method, context.path, context.query, context.headers, body)
            skew = timedelta(seconds=self.settings.clock_skew_seconds)
            rules = Rules(skew, self.settings.regions or None)
            context.identity = verify(signed, rules, lookup_key=self.keys.lookup, now=context.time)
            self._choose_pack(context, context.identity.key)
        request = protocol.validate(document, max_inline_bytes=self.settings.max_inline_bytes)
        context.decoding = self._decoding_cost((request.source, request.target))
        return request

    def _choose_pack(self, context: RequestContext, key: Key) -> None:
        """The first pack that the key's policies allow; raises NotAuthorized, as for the first, if they allow none."""
        for pack in self.settings.chosen_packs:
            context.pack = pack
            if decide(key.policies, ACTION, "*", context.policy_context).allowed:
                return
        context.pack = self.settings.pack
        authorize(key.policies, key.arn, ACTION, "*", context.policy_context)

    def _decoding_cost(self, images: Sequence[ImageReference]) -> tuple[float, int]:
        return decoding_cost(images, isolated=self.settings.isolate_decoding)

    def _comparisons(self, pack: str) -> int:
        """How often photos are decoded and compared for an answer: twice where a shadow compares them as well."""
        return 2 if self.settings.shadow and pack in ("", self.settings.pack) else 1

    async def _compared(
        self, context: RequestContext, request: CompareFacesRequest, images: list[ImageReference], deadline: float
    ) -> Comparison:
        turn = await self.images.enter(images, context.caller, deadline)
        try:
            if turn is not None:
                with context.timed("fetch"):
                    images[:] = await self.images.read(images, context, turn, deadline)
                    loop = asyncio.get_running_loop()
                    context.decoding = await loop.run_in_executor(self.parser, self._decoding_cost, images)
            return await self._run(context, partial(_compare, images, request), deadline)
        finally:
            self.images.leave(turn)

    async def _run(
        self, context: RequestContext, work: Callable[[Compares], Comparison], deadline: float
    ) -> Comparison:
        """What `work` makes of the engine, in a thread when it is the turn of this request."""
        seconds, pixel_bytes = context.decoding
        ticket = Ticket(context.caller, seconds * self._comparisons(context.pack), pixel_bytes)
        admission = self.costly_admission if ticket.decoding_seconds > COSTLY_SECONDS else self.admission
        asked = time.monotonic()
        try:
            engine = await self.loader.ready(deadline)
            await admission.enter(ticket, deadline)
            return await admission.run(ticket, partial(work, comparer_of(engine, context.pack)), deadline)
        finally:
            now = time.monotonic()
            context.seconds["queue"] = (ticket.begun or now) - asked
            if ticket.begun is not None:
                context.seconds["compare"] = now - ticket.begun


def _compare(images: list[ImageReference], request: CompareFacesRequest, engine: Compares) -> Comparison:
    """Runs in a thread of the pool. `images` is emptied, so that the photos are freed when the engine is done."""
    target, source = images.pop(), images.pop()
    if not isinstance(source, bytes) or not isinstance(target, bytes):
        raise TypeError("images that are not loaded reached the engine")
    return engine.compare(
        source, target, similarity_threshold=request.similarity_threshold, quality_filter=request.quality_filter
    )


def _drop_frames(error: BaseException) -> None:
    """Drops the frames of an error and of its causes.

    They refer to the body, the photos and the pixels in reference cycles: without this, megabytes would stay until the
    next full garbage collection.
    """
    chain: list[BaseException | None] = [error]
    while chain:
        each = chain.pop()
        if each is not None and each.__traceback__ is not None:
            each.__traceback__ = None
            chain += [each.__cause__, each.__context__]


def _without_photo(image: ImageReference) -> ImageReference:
    return b"" if isinstance(image, bytes) else image


async def _unless_client_leaves(work: Coroutine[Any, Any, T], receive: Receive) -> T:
    """What `work` returns or raises. Cancels it and raises ClientLeft when the client disconnects first."""
    working = asyncio.current_task()
    if working is None:
        raise RuntimeError("needs a task that can be cancelled")
    at_work, has_left = True, False

    def leave(leaving: asyncio.Task[Any]) -> None:
        nonlocal has_left
        if at_work and not leaving.cancelled():
            has_left = True
            working.cancel()

    leaving = asyncio.ensure_future(receive())
    leaving.add_done_callback(leave)
    try:
        return await work
    except asyncio.CancelledError:
        # Distinguishes this cancellation from others as `asyncio.timeout` does.
        if has_left and working.uncancel() == 0:
            raise ClientLeft from None
        raise
    finally:
        at_work = False
        leaving.cancel()
