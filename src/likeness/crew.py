"""Who shares in the work on one comparison, and what they must agree on: who does a piece, and who has the last one."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any, Generic, ParamSpec, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")

#: How long a helper who can be spared waits for something to do. A photo of 1280x886 is searched for the first time
#: 0.6 ms after it is decoded.
_PATIENCE_S = 0.002


class Crew:
    """Threads that stand beside the one that works, and take part in what can be divided. Without any, work is done
    in the calling thread alone.
    """

    def __init__(self, helpers: int) -> None:
        self._helpers = helpers
        self._pool = ThreadPoolExecutor(helpers, thread_name_prefix="likeness-beside") if helpers else None
        self._offered: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def submit(
        self, work: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
    ) -> "Future[Result]":
        """Starts `work` beside the calling thread; needs a helper."""
        if self._pool is None:
            raise RuntimeError("a crew without helpers takes no work")
        return self._pool.submit(work, *arguments, **named)

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`work` of each item, in order. The calling thread takes one after the other, and so does each helper that has
        nothing else to do; one that is busy until the end is not waited for.
        """
        if self._pool is None or len(items) < 2:
            return [work(item) for item in items]
        results: dict[int, Result] = {}
        places = count()

        def take() -> None:
            while (place := next(places)) < len(items):
                results[place] = work(items[place])

        helping = [self._pool.submit(take) for _ in range(min(self._helpers, len(items) - 1))]
        try:
            take()
        finally:
            begun = [each for each in helping if not each.cancel()]
        for each in begun:
            each.result()
        return [results[place] for place in range(len(items))]

    def offer(self, work: Callable[[], object]) -> None:
        """Leaves work to a helper who may have time for it between two steps of its own. Who needs it done must not
        rely on that, see `Once`.
        """
        if self._pool is not None:
            self._offered.put(work)

    def help(self) -> None:
        """Does what was offered, or will be within 2 ms, if anything; raises what that raises."""
        try:
            work = self._offered.get(timeout=_PATIENCE_S)
        except Empty:
            return
        work()

    def withdraw(self) -> None:
        """Takes back what was offered; for when nobody needs it any more."""
        with suppress(Empty):
            while True:
                self._offered.get_nowait()

    def close(self) -> None:
        """Waits for running work and ends the helpers."""
        if self._pool is not None:
            self._pool.shutdown()


class Once(Generic[Result]):
    """What `work` returns, done by who asks first; who asks meanwhile waits for it."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._working = Lock()
        self._result: list[Result] = []

    def __call__(self) -> Result:
        with self._working:
            if not self._result:
                self._result.append(self._work())
            return self._result[0]


class ByOne:
    """Work that is done by who comes first; who comes later goes on."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._taken = Lock()

    @property
    def begun(self) -> bool:
        """Whether somebody has come."""
        return self._taken.locked()

    def __call__(self) -> None:
        if self._taken.acquire(blocking=False):
            self._work()


class Together(Generic[Result]):
    """Pieces of work, and what is made of their results by whoever does the last of them.

    So who shares in the work need not wait for those who do something else. `result` is what `finish` made of the list
    of the results, once all are done.
    """

    def __init__(self, pieces: Sequence[Callable[[], Any]], finish: Callable[[list[Any]], Result]) -> None:
        self._pieces = pieces
        self._finish = finish
        self._done: list[Any] = [None] * len(pieces)
        self._left = len(pieces)
        self._counting = Lock()
        self._result: list[Result] = []

    @property
    def work(self) -> list[Callable[[], None]]:
        """The pieces, each to be called once, in any thread."""
        # Not kept: they know this object, and in a circle photos would wait for the garbage collector.
        return [partial(self._do, place) for place in range(len(self._pieces))]

    def _do(self, place: int) -> None:
        self._done[place] = self._pieces[place]()
        with self._counting:
            self._left -= 1
            last = self._left == 0
        if last:
            self._result.append(self._finish(self._done))

    @property
    def result(self) -> Result:
        """What `finish` returned; RuntimeError before all pieces are done."""
        if not self._result:
            raise RuntimeError(f"{self._left} pieces of work are not done yet")
        return self._result[0]


#: A crew without helpers: who works alone.
NOBODY = Crew(0)
