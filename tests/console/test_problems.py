"""What the console says when a comparison fails."""

import re
from collections.abc import Callable

import pytest

from .conftest import Served
from .page import Files, Open, problem, put

pytestmark = pytest.mark.engine


@pytest.mark.parametrize(
    ("source", "target", "title", "code"),
    [
        ("no-face", "person", "No face was found in the source photo", "InvalidParameterException"),
        ("person", "no-face", "No face was found in the target photo", "InvalidParameterException"),
        ("person", "too-small", "The target photo is too small", "InvalidParameterException"),
        ("gif", "person", "The source photo has the wrong format", "InvalidImageFormatException"),
        ("damaged", "person", "One of the photos cannot be read", "InvalidImageFormatException"),
        ("person", "large", "The target photo is too large", "ValidationException"),
        ("person", "huge", "The photos are too large", "status 413"),
    ],
)
def test_errors_are_explained_with_their_code(
    server: Served, open_page: Open, photo_files: Files, source: str, target: str, title: str, code: str
) -> None:
    page = open_page(server.url)
    put(page, "source", photo_files[source])
    put(page, "target", photo_files[target])
    page.locator(".problem h2", has_text=re.compile(f"^{re.escape(title)}$")).wait_for(timeout=60_000)
    assert f"Code of the service: {code}" in problem(page)


def test_the_reason_or_its_place_in_the_log_is_shown(
    serve: Callable[..., Served], server: Served, open_page: Open, photo_files: Files
) -> None:
    page = open_page(server.url)
    put(page, "source", photo_files["damaged"])
    put(page, "target", photo_files["person"])
    message = problem(page)
    request_id = re.search(r"request id ([0-9a-f-]{36})", message)
    assert request_id
    server.wait_for_log(request_id[1])
    verbose = open_page(serve("--verbose-errors", "--rate-per-second", "0.001", "--rate-burst", "1").url)
    put(verbose, "source", photo_files["damaged"])
    put(verbose, "target", photo_files["person"])
    assert "The server says: source photo" in problem(verbose)
    put(verbose, "source", photo_files["person"])
    verbose.locator(".problem h2", has_text="The server is busy").wait_for(timeout=60_000)
    assert "ProvisionedThroughputExceededException" in problem(verbose)


def test_a_server_that_does_not_answer_is_reported(server: Served, open_page: Open, photo_files: Files) -> None:
    page = open_page(server.url)
    page.route("**/*", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    put(page, "source", photo_files["person"])
    put(page, "target", photo_files["again"])
    assert "The server does not answer" in problem(page)
