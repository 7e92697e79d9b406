"""Memory for decoded photos, shared by callers: one with many large photos does not keep it from another."""

from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from io import BytesIO

from PIL import Image

from .conftest import HEADERS, Serve, body, wait_for


def test_a_caller_with_many_large_photos_leaves_the_memory_for_them_to_another(serve: Serve) -> None:
    """There is memory for one at a time."""
    with BytesIO() as file:
        Image.new("RGB", (1000, 1000)).save(file, "PNG")  # 8 MB when it is decoded
        large = file.getvalue()
    server = serve("--pixel-memory-bytes", "12000000", "--request-deadline-seconds", "120")
    server.wait_ready()

    def ask(address: str) -> int:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=120, source_address=(address, 0))
        connection.request("POST", "/", body(b"until asked", large), HEADERS)
        status = connection.getresponse().status
        connection.close()
        return status

    with ThreadPoolExecutor(7) as pool:
        statuses = [pool.submit(ask, "127.0.0.1") for _ in range(6)]
        wait_for(lambda: (server.gauge("running"), server.gauge("queue_length")) == (1, 5))
        statuses.append(pool.submit(ask, "127.0.0.2"))
        wait_for(lambda: server.gauge("queue_length") == 6)
        server.create("asked")
        assert {each.result() for each in statuses} == {200}
    assert [line["client"] for line in server.log()] == ["127.0.0.1", "127.0.0.2", *["127.0.0.1"] * 5]
