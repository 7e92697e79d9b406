"""Where photos of the console come from, and what its page says and loads before there are any."""

import pytest

from .conftest import Served, until
from .page import Files, Open, answered, problem

pytestmark = pytest.mark.engine


def test_samples_paste_and_camera(server: Served, open_page: Open, photo_files: Files) -> None:
    page = open_page(server.url, permissions=["camera"])
    page.select_option("[data-side=source] select", "obama.jpg")
    page.select_option("[data-side=target] select", "obama2.jpg")
    answered(page)
    assert float(page.locator("#face .similarity strong").inner_text()) > 80
    octets = list(photo_files["again"].read_bytes())
    page.evaluate(
        """(octets) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(octets)], "pasted.jpg", { type: "image/jpeg" }));
          document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer }));
        }""",
        octets,
    )
    page.locator("[data-side=target] bdi", has_text="pasted.jpg").wait_for()
    answered(page)
    page.get_by_role("button", name="Camera").nth(1).click()
    page.locator("#camera video").wait_for()
    until(page, "document.querySelector('#camera video').videoWidth > 0")
    page.click("#shoot")
    page.locator("[data-side=target] bdi", has_text="camera.jpg").wait_for()
    assert "No face was found in the target photo" in problem(page) or page.locator("#status").inner_text()


def test_it_says_what_a_similarity_is_and_where_photos_stay(server: Served, open_page: Open) -> None:
    page = open_page(server.url)
    text = page.locator("body").inner_text()
    assert "never who someone is" in text
    assert "a person decides" in text
    assert "kept nowhere" in text
    assert "This server is open" in text


def test_the_first_paint_needs_no_script_and_a_cached_page_one_answer(server: Served, open_page: Open) -> None:
    page = open_page(server.url)
    page.reload()
    until(page, "document.getElementById('access').textContent !== ''")
    fetched = page.evaluate(
        """performance.getEntriesByType("resource").filter((each) => each.transferSize > 0)
             .map((each) => new URL(each.name).pathname)"""
    )
    assert fetched == ["/console/server.json"]  # style sheets and scripts come from the browser's cache
    sent, size = page.evaluate(
        "(({ transferSize, encodedBodySize }) => [transferSize, encodedBodySize])"
        "(performance.getEntriesByType('navigation')[0])"
    )
    assert sent < size  # 304: headers alone
    scriptless = page.context.new_page()
    scriptless.route("**/*.js", lambda route: None)  # scripts never come
    scriptless.goto(server.url, wait_until="commit")
    until(scriptless, "performance.getEntriesByName('first-contentful-paint').length === 1")
    assert "Choose the source photo" in scriptless.locator("main").inner_text()
    scriptless.close()
