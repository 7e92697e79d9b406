"""The console in a real browser: interaction and drawing."""

import json
import re
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likeness.aws.keys import create_key, create_session
from likeness.comparer import Comparer

from ..server.conftest import make_certificate
from .conftest import WATCH_DRAWING, Served, crowd, until

pytestmark = pytest.mark.engine
Open = Callable[..., Any]
Files = dict[str, Path]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


def put(page: Any, side: str, *paths: Path) -> None:
    page.locator(f"[data-side={side}] input[type=file]").first.set_input_files([str(path) for path in paths])


def answered(page: Any) -> None:
    page.locator("#findings").wait_for(state="visible", timeout=60_000)


def compare(page: Any, source: Path, target: Path) -> None:
    put(page, "source", source)
    put(page, "target", target)
    answered(page)


def problem(page: Any) -> str:
    page.locator(".problem").wait_for(timeout=60_000)
    return str(page.locator(".problem").inner_text())


def is_post(request: Any) -> bool:
    return bool(request.method == "POST")


def count_requests(page: Any) -> list[Any]:
    sent: list[Any] = []
    page.on("request", lambda request: sent.append(request) if is_post(request) else None)
    return sent


def drop(page: Any, side: str, *paths: Path) -> None:
    """Drops files as a person does: with a DataTransfer, on the slot."""
    given = [[path.name, b64encode(path.read_bytes()).decode()] for path in paths]
    transfer = page.evaluate_handle(
        """(files) => {
          const transfer = new DataTransfer();
          const octets = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
          for (const [name, text] of files) transfer.items.add(new File([octets(text)], name));
          return transfer;
        }""",
        given,
    )
    page.dispatch_event(f"[data-side={side}]", "drop", {"dataTransfer": transfer})


def drawn_boxes(page: Any, side: str) -> list[dict[str, float]]:
    """Each box as it stands on the screen, as ratios of the photo as it stands there."""
    return list(
        page.evaluate(
            """(side) => {
              const photo = document.querySelector(`[data-side=${side}] img`).getBoundingClientRect();
              return [...document.querySelectorAll(`[data-side=${side}] .face`)].map((each) => {
                const box = each.getBoundingClientRect();
                return { Left: (box.left - photo.left) / photo.width, Top: (box.top - photo.top) / photo.height,
                         Width: box.width / photo.width, Height: box.height / photo.height };
              });
            }""",
            side,
        )
    )


@pytest.mark.parametrize(
    ("target", "viewport"),
    [
        ("again", DESKTOP),
        ("turned", DESKTOP),
        ("turned", PHONE),
        ("turned-png", DESKTOP),
        ("crowd", DESKTOP),
        ("crowd", PHONE),
    ],
)
def test_boxes_are_drawn_where_the_api_says(
    server: Served,
    open_page: Open,
    photo_files: Files,
    comparer: Comparer,
    portraits: Files,
    tmp_path: Path,
    target: str,
    viewport: Any,
) -> None:
    photo = photo_files.get(target) or tmp_path / "crowd.jpg"
    if target == "crowd":
        crowd(portraits, rows=3, columns=4).save(photo, quality=90)
    page = open_page(server.url, viewport=viewport)
    drop(page, "source", photo_files["person"])
    drop(page, "target", photo)
    answered(page)
    answer = comparer.compare(photo_files["person"], photo, similarity_threshold=0).to_dict()
    found = {
        "source": [answer["SourceImageFace"]["BoundingBox"]],
        "target": [each["Face"]["BoundingBox"] for each in answer["FaceMatches"]],
    }
    for side, boxes in found.items():
        drawn = drawn_boxes(page, side)
        assert len(drawn) == len(boxes)
        for ours, theirs in zip(drawn, boxes, strict=True):
            assert ours == pytest.approx(theirs, abs=0.003)
    shape = page.evaluate("(() => { const r = document.querySelector('[data-side=target] img').getBoundingClientRect();"
                          " return r.width / r.height; })()")  # fmt: skip
    photo_shape = page.evaluate(
        "getComputedStyle(document.querySelector('[data-side=target] .frame')).getPropertyValue('--ratio')"
    )
    assert shape == pytest.approx(float(photo_shape), rel=0.02)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    rows = page.locator("#faces tbody tr").all_inner_texts()
    assert len(rows) == len(found["target"])
    shown = [float(row.split("\t")[2]) for row in rows]
    assert shown == pytest.approx([each["Similarity"] for each in answer["FaceMatches"]], abs=0.0101)


def test_the_threshold_moves_without_a_request(
    server: Served, open_page: Open, photo_files: Files, portraits: Files, tmp_path: Path
) -> None:
    picture = tmp_path / "crowd.png"
    crowd(portraits, rows=1, columns=3).save(picture)
    page = open_page(server.url)
    sent = count_requests(page)
    compare(page, photo_files["person"], picture)
    until(page, "document.querySelector('[data-side=source] .marks .points').getAttribute('d') !== ''")
    assert [json.loads(each.post_data)["SimilarityThreshold"] for each in sent] == [0, 0]  # the pair, the source alone
    kinds = "[...document.querySelectorAll('[data-side=target] .face')].map((each) => each.dataset.kind)"
    assert page.evaluate(kinds) == ["match", "match", "other"]
    assert page.locator("#joins path").first.get_attribute("d").count("M") == 2
    page.fill("#threshold", "0")
    assert page.evaluate(kinds) == ["match"] * 3
    slider = page.locator("#scale input")
    slider.focus()
    page.keyboard.press("End")
    assert page.locator("#threshold").input_value() == "100"
    assert page.evaluate(kinds) == ["other"] * 3
    assert page.locator("#faces .verdict").all_inner_texts() == ["✕ no match"] * 3
    assert "rarer than" in page.locator("#threshold-rate").inner_text()
    page.get_by_role("radio", name="Answer").check()
    assert json.loads(page.locator("#code-text").inner_text())["FaceMatches"] == []
    assert len(sent) == 2
    with page.expect_request(is_post) as third:
        page.select_option("#filter", "HIGH")
    assert json.loads(third.value.post_data)["QualityFilter"] == "HIGH"


def test_faces_and_rows_are_chosen_together_by_keyboard(
    server: Served, open_page: Open, photo_files: Files, portraits: Files, tmp_path: Path
) -> None:
    picture = tmp_path / "crowd.png"
    crowd(portraits, rows=1, columns=3).save(picture)
    page = open_page(server.url)
    compare(page, photo_files["person"], picture)
    faces = page.locator("[data-side=target] .face")
    faces.first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Face 2: ")
    assert page.locator("#faces tr:has(:checked) th").inner_text() == "2"
    assert page.locator("#face h2").inner_text() == "Face 2"
    page.locator("#faces tr:has(:checked) input").focus()
    page.keyboard.press("ArrowDown")
    assert faces.nth(2).is_checked()
    assert page.locator(".face:checked").count() == 1
    faces.nth(2).focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Source face"
    assert page.locator("#face h2").inner_text() == "Source face"
    page.locator("#face .features").wait_for()


def test_everything_can_be_reached_with_the_tab_key(server: Served, open_page: Open, photo_files: Files) -> None:
    page = open_page(server.url)
    compare(page, photo_files["person"], photo_files["again"])
    reached = set()
    named = (
        "(each) => each.id || each.className || (each.type === 'radio' && each.name) || each.labels?.[0]?.textContent"
    )
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(f"({named})(document.activeElement)"))
    wanted = {
        "threshold",
        "filter",
        "face",
        "row",
        "copy",
        "code",
        "Choose the source photo",
        "Choose a folder",
    }
    assert wanted <= reached


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
    told = problem(page)
    request_id = re.search(r"request id ([0-9a-f-]{36})", told)
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


def test_signing_in(serve: Callable[..., Served], open_page: Open, photo_files: Files, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    allowed = create_key(keys, user="console")
    denied = create_key(keys, user="denied", policy={"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
    guarded = serve("--keys", str(keys))
    page = open_page(guarded.url)
    assert "signed requests only" in page.locator("#access").inner_text()
    put(page, "source", photo_files["person"])
    put(page, "target", photo_files["again"])
    page.locator("#told", has_text="Sign in first").wait_for()

    def sign_in(key_id: str, secret: str) -> None:
        page.fill("[name=id]", key_id)
        page.fill("[name=secret]", secret)
        page.locator("#sign-in button").click()

    for key_id, secret, title in (
        (allowed.id, "wrong", "The signature is wrong"),
        ("AKIANOBODYKNOWSTHIS1", "wrong", "The server does not know this key"),
        (denied.id, denied.secret, "This key may not compare faces"),
    ):
        sign_in(key_id, secret)
        page.locator(".problem h2", has_text=title).wait_for(timeout=60_000)
        page.get_by_role("button", name="Sign out").click()
    sign_in(allowed.id, allowed.secret)
    answered(page)
    assert allowed.id in page.locator("#access").inner_text()
    with page.expect_request(is_post) as sent:
        put(page, "target", photo_files["person"])
    page.locator("#faces .figure", has_text="100").wait_for()
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-target" in sent.value.headers["authorization"]
    kept = page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, document.documentElement.outerHTML])"
    )
    assert allowed.secret not in kept
    for each in page.locator("#code-kinds input").all():
        each.check()
        assert allowed.secret not in page.locator("#code-text").inner_text()


def test_a_session_token_is_sent_and_signed(
    serve: Callable[..., Served], open_page: Open, photo_files: Files, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    session = create_session(keys, create_key(keys, user="console").id)
    page = open_page(serve("--keys", str(keys)).url)
    sent = count_requests(page)
    page.fill("[name=id]", session.id)
    page.fill("[name=secret]", session.secret)
    page.fill("[name=token]", "another session's")
    page.locator("#sign-in button").click()
    put(page, "source", photo_files["person"])
    put(page, "target", photo_files["again"])
    assert "UnrecognizedClientException" in problem(page)
    page.get_by_role("button", name="Sign out").click()
    page.fill("[name=id]", session.id)
    page.fill("[name=secret]", session.secret)
    page.fill("[name=token]", session.session_token)
    page.locator("#sign-in button").click()
    answered(page)
    headers = sent[-1].headers
    assert headers["x-amz-security-token"] == session.session_token
    assert ";x-amz-security-token;" in headers["authorization"]


def test_signed_over_tls_below_a_prefix(
    serve: Callable[..., Served], open_page: Open, photo_files: Files, tmp_path: Path
) -> None:
    key = create_key(tmp_path / "keys.json", user="console")
    certificate, certificate_key = make_certificate(tmp_path)
    flags = ("--tls-certificate", str(certificate), "--tls-key", str(certificate_key), "--path-prefix", "/faces")
    guarded = serve("--keys", str(tmp_path / "keys.json"), *flags)
    assert re.fullmatch(r"https://127\.0\.0\.1:\d+/faces", guarded.url)
    page = open_page(guarded.url, ignore_https_errors=True)  # without the last slash, as it is told at start
    page.fill("[name=id]", key.id)
    page.fill("[name=secret]", key.secret)
    page.locator("#sign-in button").click()
    compare(page, photo_files["person"], photo_files["again"])
    page.get_by_role("radio", name="curl").check()
    assert f"{guarded.url} --data-binary" in page.locator("#code-text").inner_text()


def test_a_wrong_clock_is_reported_with_both_times(
    serve: Callable[..., Served], open_page: Open, photo_files: Files, tmp_path: Path
) -> None:
    key = create_key(tmp_path / "keys.json", user="console")
    page = open_page(serve("--keys", str(tmp_path / "keys.json")).url)
    page.evaluate(
        """() => {
          const Real = Date;
          globalThis.Date = class extends Real {
            static now() { return Real.now() - 3_600_000; }
            constructor(...given) { given.length ? super(...given) : super(Date.now()); }
          };
        }"""
    )
    page.fill("[name=id]", key.id)
    page.fill("[name=secret]", key.secret)
    page.locator("#sign-in button").click()
    put(page, "source", photo_files["person"])
    put(page, "target", photo_files["again"])
    told = problem(page)
    assert "The clocks differ too much" in told
    times = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", told)
    assert len(times) == 2
    assert times[0] < times[1]


def test_without_a_safe_page_it_says_what_to_do(serve: Callable[..., Served], open_page: Open, tmp_path: Path) -> None:
    create_key(tmp_path / "keys.json", user="console")
    guarded = serve("--keys", str(tmp_path / "keys.json"))
    page = open_page(guarded.url)
    page.add_init_script("Object.defineProperty(globalThis.crypto, 'subtle', { value: undefined })")
    page.reload()
    page.locator("#access", has_text="ssh -L").wait_for()
    assert page.locator("#sign-in").is_hidden()


def test_a_folder_is_sorted_stopped_and_exported(
    serve: Callable[..., Served], server: Served, open_page: Open, photo_files: Files, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("again", "other", "no-face", "person", "gif"):
        (folder / photo_files[name].name).write_bytes(photo_files[name].read_bytes())
    page = open_page(server.url)
    put(page, "source", photo_files["person"])
    page.locator("[data-side=target] input[webkitdirectory]").set_input_files(str(folder))
    page.locator("#many-told", has_text="Done: 5 of 5").wait_for(timeout=60_000)
    names = page.locator("#many-grid bdi").all_inner_texts()
    assert [name.rpartition("/")[2] for name in names][:3] == ["person.jpg", "again.jpg", "other.png"]
    told = page.locator("#many-grid .told").all_inner_texts()
    assert told[0].startswith("100 ✓ match")
    assert "✕ no match" in told[2]
    assert "No face was found in the target photo (InvalidParameterException)" in told
    assert sum("InvalidParameterException" in each or "InvalidImageFormatException" in each for each in told) == 2
    with page.expect_download() as download:
        page.click("#many-csv")
    table = Path(download.value.path()).read_text().splitlines()
    assert table[0].startswith("photo,similarity,false match rate")
    assert len(table) == 6
    page.locator("#many-grid button").nth(1).click()
    answered(page)
    assert page.locator("[data-side=target] bdi").inner_text().endswith("again.jpg")


def test_a_dropped_folder_is_compared(server: Served, open_page: Open, photo_files: Files, tmp_path: Path) -> None:
    inner = tmp_path / "album" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "album" / "again.jpg").write_bytes(photo_files["again"].read_bytes())
    (inner / "person.jpg").write_bytes(photo_files["person"].read_bytes())
    page = open_page(server.url)
    put(page, "source", photo_files["person"])
    place = page.locator("[data-side=target]").bounding_box()
    browser = page.context.new_cdp_session(page)
    dragged = {"items": [], "files": [str(tmp_path / "album")], "dragOperationsMask": 1}
    for event in ("dragEnter", "dragOver", "drop"):
        browser.send(
            "Input.dispatchDragEvent", {"type": event, "x": place["x"] + 20, "y": place["y"] + 20, "data": dragged}
        )
    page.locator("#many-told", has_text="Done: 2 of 2").wait_for(timeout=60_000)
    assert page.locator("#many-grid bdi").all_inner_texts() == ["album/inner/person.jpg", "album/again.jpg"]


def test_a_target_whose_faces_the_filter_drops_has_no_similarity(
    server: Served, open_page: Open, photo_files: Files
) -> None:
    box = {"Left": 0.25, "Top": 0.25, "Width": 0.5, "Height": 0.5}
    answer = {"SourceImageFace": {"BoundingBox": box, "Confidence": 99.0}, "FaceMatches": [], "UnmatchedFaces": []}
    page = open_page(server.url)
    page.route(
        "**/*", lambda route: route.fulfill(json=answer) if route.request.method == "POST" else route.continue_()
    )
    compare(page, photo_files["person"], photo_files["again"])
    assert page.locator("#told").inner_text() == "Faces compared: 0; matches: 0."
    assert page.locator("#face h2").inner_text() == "Source face"
    put(page, "target", photo_files["again"], photo_files["other"])
    page.locator("#many-told", has_text="Done: 2 of 2").wait_for()
    assert page.locator("#many-grid .told").all_inner_texts() == ["no face passes the filter"] * 2


def test_a_busy_server_is_retried_and_a_run_can_be_stopped(
    serve: Callable[..., Served], open_page: Open, photo_files: Files
) -> None:
    slow = serve("--rate-per-second", "0.5", "--rate-burst", "1")
    page = open_page(slow.url)
    put(page, "source", photo_files["person"])
    put(
        page, "target", *[photo_files[name] for name in ("person", "again", "other", "turned", "turned-png", "no-face")]
    )
    page.locator("#many-told", has_text="The server is busy: trying again").wait_for(timeout=60_000)
    until(page, "document.querySelectorAll('#many-grid li').length >= 2")
    page.click("#many-stop")
    page.locator("#many-told", has_text="Stopped").wait_for()
    assert page.locator("#many-grid li").count() < 6


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
    assert "No face was found in the target photo" in problem(page) or page.locator("#told").inner_text()


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


def test_a_hundred_faces_are_drawn_in_few_layouts(
    server: Served, open_page: Open, photo_files: Files, portraits: Files, tmp_path: Path
) -> None:
    picture = tmp_path / "crowd.jpg"
    crowd(portraits).save(picture, quality=92)
    page = open_page(server.url)
    page.add_init_script(WATCH_DRAWING)
    page.reload()
    until(page, "document.getElementById('access').textContent !== ''")
    browser = page.context.new_cdp_session(page)
    browser.send("Performance.enable")

    def layouts() -> float:
        metrics = browser.send("Performance.getMetrics")["metrics"]
        return next(float(each["value"]) for each in metrics if each["name"] == "LayoutCount")

    held: list[Any] = []
    page.route("**/*", lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
    put(page, "source", photo_files["person"])
    put(page, "target", picture)
    end = time.monotonic() + 60
    while not held:
        assert time.monotonic() < end
        page.wait_for_timeout(20)
    page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    before = layouts()
    held[0].continue_()
    until(page, "globalThis.drawnMs !== undefined", 60)
    faces = page.locator("[data-side=target] .face").count()
    assert faces >= 90
    # One for each frame: a layout forced for each face, row or label would make a hundred.
    assert layouts() - before <= 8
    for route in held[1:]:
        route.continue_()
