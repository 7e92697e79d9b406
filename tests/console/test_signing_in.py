"""Signing in at the console, whose requests the browser signs."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from likeness.aws.keys import create_key, create_session

from ..server.conftest import make_certificate
from .conftest import Served
from .page import Files, Open, answered, compare, count_requests, is_post, problem, put

pytestmark = pytest.mark.engine


def test_signing_in(serve: Callable[..., Served], open_page: Open, photo_files: Files, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    allowed = create_key(keys, user="console")
    denied = create_key(keys, user="denied", policy={"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
    guarded = serve("--keys", str(keys))
    page = open_page(guarded.url)
    assert "signed requests only" in page.locator("#access").inner_text()
    put(page, "source", photo_files["person"])
    put(page, "target", photo_files["again"])
    page.locator("#status", has_text="Sign in first").wait_for()

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
    message = problem(page)
    assert "The clocks differ too much" in message
    times = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", message)
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
