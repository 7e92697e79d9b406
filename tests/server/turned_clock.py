"""`stub_server` with a wall clock that is ahead by the number of seconds in the file `ahead` of the server's folder."""

import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

sys.path.insert(0, str(Path(__file__).parent))

import stub_server

from likeness.cli.serve import main
from likeness.server import request_context


class TurnedClock(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        try:
            ahead = float(Path("ahead").read_text() or 0)
        except FileNotFoundError:
            ahead = 0.0
        return super().now(tz) + timedelta(seconds=ahead)


if __name__ == "__main__":
    request_context.datetime = TurnedClock  # type: ignore[misc]
    sys.exit(main(sys.argv[1:], stub_server.load))
