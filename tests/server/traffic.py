"""Clients that send requests without a pause while a test does something to the server."""

import http.client
import itertools
import socket
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .conftest import HEADERS, body, read_response, wait_for

Connect = Callable[[], http.client.HTTPConnection]
#: The headers of a request with this body.
Sign = Callable[[bytes], dict[str, str]]


class UnixConnection(http.client.HTTPConnection):
    """A connection to a Unix socket; like its base class, it connects again after the server has closed it."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


class _ResetUnread(Exception):
    """A new connection was reset before anything of an answer."""


class Traffic:
    """`clients` threads; each sends one request after the other until the block ends.

    Every request asks the stub engine for a similarity of its own, so that a wrong or crossed answer is noticed.
    `make` gives the body of the request for a similarity; without it, the photos are inline.
    """

    def __init__(
        self,
        connect: Connect,
        clients: int = 4,
        *,
        sign: Sign | None = None,
        padding: int = 0,
        make: Callable[[int], bytes] | None = None,
    ) -> None:
        self.statuses: Counter[int] = Counter()
        #: The error codes of answers other than 200.
        self.codes: Counter[str] = Counter()
        #: Connections refused, and requests that were sent and got no answer.
        self.refused: list[str] = []
        self.unanswered: list[str] = []
        #: Those unanswered ones whose connection was new and was reset before anything of an answer.
        self.reset: list[str] = []
        self.wrong: list[Any] = []
        self._connect, self._sign = connect, sign
        self._make = make or (lambda similarity: body(b"similarity %d " % similarity + b" " * padding))
        self._over = threading.Event()
        self._numbers = itertools.count(1)
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def wait_answers(self, more: int = 20, status: int = 200) -> None:
        """Waits until there are `more` answers with `status` than now."""
        before = self.statuses[status]
        wait_for(lambda: self.statuses[status] >= before + more)

    def _run(self) -> None:
        connection = self._connect()
        while not self._over.is_set():
            try:
                self._ask(connection)
            except (ConnectionRefusedError, FileNotFoundError) as error:
                self.refused.append(repr(error))
                connection.close()
                self._over.wait(0.02)
            except _ResetUnread as error:
                self.reset.append(repr(error.__cause__))
                self.unanswered.append(repr(error.__cause__))
                connection.close()
            except (OSError, http.client.HTTPException) as error:
                self.unanswered.append(repr(error))
                connection.close()
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        similarity = next(self._numbers)
        data = self._make(similarity)
        is_new = connection.sock is None
        try:
            connection.request("POST", "/", data, HEADERS if self._sign is None else self._sign(data))
            response = connection.getresponse()
        except http.client.RemoteDisconnected:  # the server has ended the connection in order
            raise
        except (ConnectionResetError, BrokenPipeError) as error:
            if is_new:
                raise _ResetUnread from error
            raise
        answer = read_response(response)
        if answer.status != 200:
            self.codes[answer.code if answer.body else ""] += 1
        elif answer.json["FaceMatches"][0]["Similarity"] != similarity:
            self.wrong.append((similarity, answer.json))
        self.statuses[answer.status] += 1
