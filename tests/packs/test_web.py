"""The user's credentials, proxy and time limits are honoured, and no password is ever shown."""

import datetime
import ipaddress
import ssl
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from likeness.errors import PackDownloadFailed
from likeness.packs.npm_settings import NpmSettings
from likeness.packs.pip_settings import PipSettings
from likeness.packs.web import Web, redacted, split_credentials


def page(settings: PipSettings, url: str) -> int:
    return Web(settings).read_page(url, accept="*/*", limit=1 << 20)[0]


def test_credentials_in_the_index_address(index, tiny, settings) -> None:
    index.files, index.credentials = dict(tiny.files), "me:s3 cret/"
    host = index.url.removeprefix("http://")
    url = f"http://me:s3%20cret%2F@{host}/simple"
    assert page(settings, f"{url}/big/") == 200
    assert page(replace(settings, indexes=(url,)), f"{index.url}/simple/big/") == 200
    assert page(settings, f"{index.url}/simple/big/") == 401


def test_credentials_in_netrc(index, tiny, settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index.files, index.credentials = dict(tiny.files), "me:secret"
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert page(settings, f"{index.url}/simple/big/") == 200
    netrc.write_text("not a netrc file")
    assert page(settings, f"{index.url}/simple/big/") == 401


def test_a_token_of_npms_goes_to_its_own_place(index, tiny, settings) -> None:
    index.files = dict(tiny.files)
    host = index.url.removeprefix("http:")
    web = Web(settings, NpmSettings(authorizations={f"{host}/files/": "Bearer abc"}))
    for path in (f"/files/{tiny.wheel_name}", "/simple/big/"):
        web.read_page(f"{index.url}{path}", accept="*/*", limit=1 << 20)
    assert [headers.get("authorization") for _, headers in index.requests] == ["Bearer abc", None]


def test_a_redirect_to_another_host_does_not_take_the_password_along(serve_index, tiny, settings) -> None:
    front, back = serve_index(), serve_index()
    back.files = dict(tiny.files)
    # localhost and 127.0.0.1 are different hosts to a client.
    front.redirect_to = back.url.replace("127.0.0.1", "localhost")
    front.credentials = "me:secret"
    url = front.url.replace("http://", "http://me:secret@")
    with Web(settings).open(f"{url}/files/{tiny.wheel_name}") as response:
        assert response.read() == tiny.files[tiny.wheel_name]
    assert "authorization" in front.requests[0][1]
    assert "authorization" not in back.requests[0][1]


def test_a_proxy_from_pips_configuration(index, tiny, settings) -> None:
    index.files = dict(tiny.files)
    through = replace(settings, proxy=index.url.replace("http://", "http://me:secret@"))
    assert page(through, "http://index.example/simple/big/") == 200
    path, headers = index.requests[0]
    assert path == "http://index.example/simple/big/"
    assert headers["proxy-authorization"].startswith("Basic ")


def test_a_proxy_from_the_environment_and_its_exceptions(
    index, tiny, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.files = dict(tiny.files)
    monkeypatch.setenv("http_proxy", index.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert page(settings, "http://index.example/simple/big/") == 200
    assert page(settings, f"{index.url}/simple/big/") == 200
    assert index.paths() == ["http://index.example/simple/big/", "/simple/big/"]


def test_a_proxy_that_is_none_is_named_without_its_password(settings) -> None:
    with pytest.raises(PackDownloadFailed, match=r"socks5://proxy.example:1080 is not an HTTP proxy") as caught:
        page(replace(settings, proxy="socks5://me:secret@proxy.example:1080"), "http://index.example/")
    assert "secret" not in str(caught.value)


def test_a_server_that_never_answers_is_given_up_within_the_time_limit(index, settings) -> None:
    index.hang_s = 30.0
    start = time.monotonic()
    with pytest.raises(PackDownloadFailed, match=r"127.0.0.1:\d+ does not answer.*timed out"):
        page(replace(settings, timeout_s=1.0, retries=5), f"{index.url}/simple/big/")
    assert time.monotonic() - start < 15


def test_a_closed_port_is_named(settings) -> None:
    with pytest.raises(PackDownloadFailed, match=r"127.0.0.1:1 does not answer.*refused"):
        page(replace(settings, retries=0), "http://127.0.0.1:1/simple/")


def test_a_name_that_does_not_resolve_is_named(settings) -> None:
    with pytest.raises(PackDownloadFailed, match=r"index.invalid does not answer"):
        page(replace(settings, retries=0), "https://me:secret@index.invalid/simple/")


def test_a_page_without_end_is_not_read_to_its_end(index, settings) -> None:
    index.files = {"endless": b"x" * 100_000}
    with pytest.raises(PackDownloadFailed, match="more than 1000 bytes"):
        Web(settings).read_page(f"{index.url}/files/endless", accept="*/*", limit=1000)


def test_a_certificate_file_that_is_not_there_is_named(settings) -> None:
    with pytest.raises(PackDownloadFailed, match=r"/nonexistent/ca.pem"):
        page(replace(settings, ca_file="/nonexistent/ca.pem"), "https://index.example/simple/")


@pytest.fixture
def secure(serve_index, tiny, tmp_path: Path):
    """An index with a certificate that nobody signed but itself, and the file of that certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "index")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    index = serve_index(context)
    index.files = dict(tiny.files)
    return index, str(tmp_path / "cert.pem")


def test_a_certificate_that_nobody_vouches_for_is_refused(secure, settings) -> None:
    with pytest.raises(PackDownloadFailed, match=r"127.0.0.1:\d+ does not answer: .*certificate verify failed"):
        page(settings, f"{secure[0].url}/simple/big/")


def test_pips_own_certificates_and_trusted_hosts(secure, settings) -> None:
    with warnings.catch_warnings():
        _check_certificates_and_trusted_hosts(secure, settings)


def _check_certificates_and_trusted_hosts(secure, settings) -> None:
    index, certificate = secure
    assert page(replace(settings, ca_file=certificate), f"{index.url}/simple/big/") == 200
    assert page(replace(settings, trusted_hosts=("127.0.0.1",)), f"{index.url}/simple/big/") == 200
    port = index.url.rpartition(":")[2]
    assert page(replace(settings, trusted_hosts=(f"127.0.0.1:{port}",)), f"{index.url}/simple/big/") == 200
    with pytest.raises(PackDownloadFailed, match="certificate verify failed"):
        page(replace(settings, trusted_hosts=("127.0.0.1:1", "other")), f"{index.url}/simple/big/")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@host:8443/simple/?token=x#y", "https://host:8443/simple/"),
        ("https://token@host/simple", "https://host/simple"),
        ("http://host/a", "http://host/a"),
    ],
)
def test_addresses_are_shown_without_secrets(url: str, shown: str) -> None:
    assert redacted(url) == shown


def test_credentials_may_hold_any_character() -> None:
    assert split_credentials("http://a%40b:c%3A%2F@h/x") == ("http://h/x", "a@b:c:/")
