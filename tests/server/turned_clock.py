"""`stub_server` with a wall clock that is ahead by the number of seconds in the file `ahead` of the server's folder."""

import datetime
import sys
import time
from pathlib import Path
from typing import Self

_time, _time_ns = time.time, time.time_ns


def _ahead() -> int:
    try:
        return int(Path("ahead").read_text() or 0)
    except FileNotFoundError:
        return 0


# Before anything is imported that may keep a reference to them.
time.time = lambda: _time() + _ahead()
time.time_ns = lambda: _time_ns() + _ahead() * 10**9

sys.path.insert(0, str(Path(__file__).parent))

import stub_server  # noqa: E402

from likeness.cli.serve import main  # noqa: E402
from likeness.server import serving  # noqa: E402, F401 - with all that a server imports


class TurnedClock(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Self:
        return super().now(tz) + datetime.timedelta(seconds=_ahead())


def turn() -> None:
    """Replaces the class wherever it is in use: msgspec knows the types of key files by the original one."""
    for name, module in list(sys.modules.items()):
        if name.startswith("likeness.") and getattr(module, "datetime", None) is datetime.datetime:
            module.datetime = TurnedClock  # type: ignore[attr-defined]
    datetime.datetime = TurnedClock  # type: ignore[misc]


if __name__ == "__main__":
    turn()
    sys.exit(main(sys.argv[1:], stub_server.load))
