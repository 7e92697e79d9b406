"""`stub_server` that gets SIGTERM again before each line of its handler and of the clean-up.

`closed` in the server's folder says that the engine was closed.
"""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import stub_server

from likeness.cli.serve import main
from likeness.server.app import Application
from likeness.server.serving import Server


def _again(_: FrameType, event: str, __: object) -> Any:
    if event == "line":
        signal.raise_signal(signal.SIGTERM)
    return _again


def interrupted(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose first call is interrupted by SIGTERM before each line, also of what it calls."""
    tracers = iter([_again])

    def call(*arguments: Any) -> Any:
        if (tracer := next(tracers, None)) is None:
            return function(*arguments)
        sys.settrace(tracer)
        try:
            return function(*arguments)
        finally:
            sys.settrace(None)

    return call


class MarkedComparer(stub_server.StubComparer):
    def close(self) -> None:
        Path("closed").touch()


if __name__ == "__main__":
    Server.handle_exit = interrupted(Server.handle_exit)  # type: ignore[method-assign]
    Application.close = interrupted(Application.close)  # type: ignore[method-assign]
    sys.exit(main(sys.argv[1:], lambda *_: MarkedComparer()))
