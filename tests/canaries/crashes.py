"""Processes of a server that end as by a crash, while they have a photo where that can be."""

import http.client
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .conftest import Client, wait_for
from .surroundings import decoders

CRASHES = (signal.SIGSEGV, signal.SIGABRT)


def crash_decoders(pid: int, ask: Callable[[], None]) -> None:
    """Ends all decoders, and has photos decoded again by others."""
    for number, decoder in enumerate(decoders(pid)):
        os.kill(decoder, CRASHES[number % 2])
    wait_for(lambda: decoders(pid) == [])
    ask()


def crash_workers(pid: int, client: Client, body: Any, errors: Path) -> None:
    """Ends each worker of a supervisor while photos are compared, and waits for others."""
    workers = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    for worker, crash in zip(workers, CRASHES, strict=True):
        asking = [threading.Thread(target=send, args=(client, body)) for _ in range(4)]
        for each in asking:
            each.start()
        os.kill(worker, crash)
        for each in asking:
            each.join()
        wait_for(lambda crash=crash: f"ended with code {-crash} " in errors.read_text())
    wait_for(lambda: client.ask("GET", "/readyz")[0] == 200)


def send(client: Client, body: Any) -> None:
    """A request whose connection may end without an answer."""
    with suppress(OSError, http.client.HTTPException):
        client.send(body)
