"""An S3 whose objects and failures repeat what must not be told: credentials, photos, addresses that are signed."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_ERROR = "<Error><Code>{}</Code><Message>{}</Message><StringToSign>{}</StringToSign></Error>"


class Watched(dict[str, bytes]):
    """Photos of a store that calls `look` while a reader waits for the photo that is named so."""

    look: Callable[[], None]

    def __getitem__(self, name: str) -> bytes:
        if name == "look":
            self.look()
        return super().__getitem__(name)


def handler(photos: Mapping[str, bytes], signed_address: str) -> type[BaseHTTPRequestHandler]:
    """Answers by the beginning of the object's name."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            kind = self.path.split("/")[-1].split("-")[0]
            repeated = _ERROR.format("AccessDenied", f"{self.headers}", self.headers.get("X-Amz-Security-Token"))
            photo = next(iter(photos.values()))
            if kind in photos:
                self._answer(200, photos[kind])
            elif kind == "denied":
                self._answer(403, repeated.encode())
            elif kind == "broken":
                self._answer(500, repeated.encode())
            elif kind == "moved":
                self._answer(307, b"", Location=f"http://{self.headers['Host']}{signed_address}")
            elif kind == "garbage":
                self._answer(400, b"<not xml " + photo + repeated.encode())
            elif kind == "odd":  # a header that botocore cannot parse, and quotes
                self._answer(200, photo, **{"Last-Modified": self.headers.get("X-Amz-Security-Token", "")})
            elif kind == "short":
                self._answer(200, photo, length=len(photo) + 1000)
                self.close_connection = True
            else:
                self._answer(404, _ERROR.format("NoSuchKey", "none", "").encode())

        def _answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@contextmanager
def stand_in(photos: Mapping[str, bytes], signed_address: str) -> Iterator[str]:
    """The address of the S3."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(photos, signed_address)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
