"""Downloads: streamed, resumed, verified; the file is right or absent, for any behaviour of the server."""

import datetime
import ipaddress
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from likeness.errors import PackDamaged, PackDownloadFailed
from likeness.packs import download
from likeness.packs.download import Access, fetch, read_page, redacted

DIRECT = Access()


@pytest.fixture
def ready(configured, tiny):
    """The fake index with the tiny pack's distributions."""
    configured.files = dict(tiny.files)
    return configured


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "pause", lambda _: None)


@pytest.fixture
def url(ready, big) -> str:
    return f"{ready.url}/files/{big.file}"


@pytest.fixture
def part(tmp_path: Path, big) -> Path:
    return tmp_path / f"{big.file}.part"


def test_a_file_is_fetched_counted_and_kept_only_whole(url, big, tmp_path: Path, heard, tiny) -> None:
    path = fetch(url, big, tmp_path / "folder", DIRECT, heard)
    assert path.read_bytes() == tiny.files[big.file]
    assert [p.name for p in path.parent.iterdir()] == [big.file]
    assert heard.bytes == sorted(heard.bytes)
    assert heard.bytes[-1] == big.size


@pytest.mark.parametrize("have", [1, 65_536, 3_000_000])
def test_a_part_is_continued_where_it_stopped(ready, url, big, part: Path, heard, tiny, have: int) -> None:
    part.write_bytes(tiny.files[big.file][:have])
    assert fetch(url, big, part.parent, DIRECT, heard).read_bytes() == tiny.files[big.file]
    assert [headers["range"] for _, headers in ready.requests] == [f"bytes={have}-"]


def test_a_complete_part_is_not_downloaded_again(ready, url, big, part: Path, heard, tiny) -> None:
    part.write_bytes(tiny.files[big.file])
    fetch(url, big, part.parent, DIRECT, heard)
    assert ready.requests == []


def test_a_part_longer_than_the_file_is_started_again(url, big, part: Path, heard, tiny) -> None:
    part.write_bytes(b"?" * 4_000_000)
    assert fetch(url, big, part.parent, DIRECT, heard).read_bytes() == tiny.files[big.file]


def test_a_part_of_another_file_is_deleted_so_that_the_next_run_starts_over(url, big, part: Path, heard, tiny) -> None:
    part.write_bytes(b"?" * 1000)
    with pytest.raises(PackDamaged, match="is not the published file"):
        fetch(url, big, part.parent, DIRECT, heard)
    assert fetch(url, big, part.parent, DIRECT, heard).read_bytes() == tiny.files[big.file]


def test_a_server_without_ranges_starts_again(ready, url, big, part: Path, heard, tiny) -> None:
    ready.ranges = False
    part.write_bytes(tiny.files[big.file][:5000])
    assert fetch(url, big, part.parent, DIRECT, heard).read_bytes() == tiny.files[big.file]


def test_a_server_whose_file_is_shorter_than_the_part_is_given_up(ready, url, big, part: Path, heard) -> None:
    ready.files[big.file] = b"short"
    part.write_bytes(b"?" * 1000)
    with pytest.raises(PackDownloadFailed, match="the answer ended early"):
        fetch(url, big, part.parent, DIRECT, heard)
    assert part.read_bytes() == b"short"


def test_broken_connections_are_resumed_as_long_as_bytes_come(ready, url, big, part: Path, heard, tiny) -> None:
    ready.cuts, ready.cut_after = 6, 400_000
    assert fetch(url, big, part.parent, DIRECT, heard).read_bytes() == tiny.files[big.file]
    starts = [int(headers["range"][6:-1]) for _, headers in ready.requests if "range" in headers]
    assert len(starts) == 6
    assert starts == sorted(set(starts))


def test_connections_that_bring_nothing_end_the_try_and_the_part_stays(ready, url, big, part: Path, heard) -> None:
    ready.never_beyond = 1_000_000
    with pytest.raises(PackDownloadFailed, match=r"after 1.0 of 3.0 MB; run the same command again to resume"):
        fetch(url, big, part.parent, DIRECT, heard)
    assert len(ready.requests) == download._TRIES
    assert part.stat().st_size == 1_000_000


def test_a_wrong_file_leaves_nothing_behind(ready, url, big, part: Path, heard) -> None:
    ready.files[big.file] = b"!" * big.size
    message = r"big-2.0.tar.gz from http://127.0.0.1:\d+/files/big-2.0.tar.gz is not the published file"
    with pytest.raises(PackDamaged, match=message):
        fetch(url, big, part.parent, DIRECT, heard)
    assert not part.exists()


def test_a_longer_file_is_not_read_to_its_end(ready, url, big, part: Path, heard) -> None:
    ready.files[big.file] = b"!" * (big.size + 10_000_000)
    with pytest.raises(PackDamaged, match="sends more than the"):
        fetch(url, big, part.parent, DIRECT, heard)
    assert not part.exists()
    assert max(heard.bytes) < big.size + 2_000_000


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_not_retried(ready, url, big, part: Path, heard, status: int) -> None:
    ready.status = status
    with pytest.raises(PackDownloadFailed, match=f"answers {status}"):
        fetch(url, big, part.parent, DIRECT, heard)
    assert len(ready.requests) == 1


@pytest.mark.parametrize("status", [500, 503, 429])
def test_server_errors_are_retried_a_limited_number_of_times(ready, url, big, part: Path, heard, status) -> None:
    ready.status = status
    with pytest.raises(PackDownloadFailed, match=f"answers {status}"):
        fetch(url, big, part.parent, DIRECT, heard)
    assert len(ready.requests) == download._TRIES


def test_a_download_that_stalls_is_given_up_within_the_time_limit(
    ready, url, big, part: Path, heard, monkeypatch
) -> None:
    monkeypatch.setattr(download, "_SILENCE_S", 2.0)
    ready.block_bytes, ready.pause_s, ready.ranges = 1_000_000, 30.0, False
    start = time.monotonic()
    with pytest.raises(PackDownloadFailed, match=r"timed out\), after 1.0 of 3.0 MB"):
        fetch(url, big, part.parent, DIRECT, heard)
    assert time.monotonic() - start < 25


def test_a_trickle_is_not_waited_for(ready, url, big, part: Path, heard, monkeypatch) -> None:
    monkeypatch.setattr(download, "_MINUTE_S", 0.2)
    ready.block_bytes, ready.pause_s = 10, 0.05
    start = time.monotonic()
    with pytest.raises(PackDownloadFailed, match="the server is too slow"):
        fetch(url, big, part.parent, DIRECT, heard)
    assert time.monotonic() - start < 25


def test_too_little_disk_space_is_reported_before_any_download(ready, url, big, part: Path, heard, monkeypatch) -> None:
    usage = download.shutil.disk_usage(part.parent)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(OSError, match=r"3 MB needed, 1 MB free.*big-2.0.tar.gz.part"):
        fetch(url, big, part.parent, DIRECT, heard)
    assert ready.requests == []


def test_a_redirect_is_followed_with_the_range_and_without_the_password(
    serve_index, configured, big, part: Path, heard, tiny
) -> None:
    front, back = serve_index(), serve_index()
    back.files = dict(tiny.files)
    front.redirect_to, front.credentials = back.url, "me:s3 cret/"
    part.write_bytes(tiny.files[big.file][:77])
    url = front.url.replace("http://", "http://me:s3%20cret%2F@")
    fetch(f"{url}/files/{big.file}", big, part.parent, DIRECT, heard)
    assert back.requests[0][1]["range"] == "bytes=77-"
    assert "authorization" in front.requests[0][1]
    assert "authorization" not in back.requests[0][1]


def test_an_error_for_a_wrong_password_does_not_contain_it(ready) -> None:
    ready.credentials = "me:secret"
    with pytest.raises(PackDownloadFailed, match=r"answers 401 \(credentials are missing or wrong\)") as caught:
        read_page(f"{ready.url.replace('http://', 'http://me:wrong@')}/simple/big/?token=x", DIRECT)
    assert "wrong@" not in str(caught.value)
    assert "token" not in str(caught.value)


def test_a_proxy_of_the_configuration_or_of_the_environment(ready, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "http://index.example/simple/big/"
    assert "big-2.0.tar.gz" in read_page(page, Access(proxy=ready.url))
    monkeypatch.setenv("http_proxy", ready.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert "big-2.0.tar.gz" in read_page(page, DIRECT)
    read_page(f"{ready.url}/simple/big/", DIRECT)
    assert ready.paths() == [page, page, "/simple/big/"]


def test_a_server_that_is_not_there_is_named(configured) -> None:
    with pytest.raises(PackDownloadFailed, match=r"http://127.0.0.1:1/simple/: no answer .*refused"):
        read_page("http://127.0.0.1:1/simple/", DIRECT)


@pytest.mark.parametrize("url", ["not an address", "gopher://index.example/", "http://[index/"])
def test_an_invalid_address_is_an_error_without_traceback(configured, url: str) -> None:
    with pytest.raises(PackDownloadFailed, match="no answer"):
        read_page(url, DIRECT)
    with pytest.raises(PackDownloadFailed, match="no answer"):
        read_page("http://index.example/", Access(proxy="socks5://127.0.0.1:1"))


def test_certificates(serve_index, configured, tiny, tmp_path: Path) -> None:
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
    page = f"{index.url}/simple/big/"
    assert "big-2.0.tar.gz" in read_page(page, Access(ca_file=str(tmp_path / "cert.pem")))
    with pytest.raises(PackDownloadFailed, match="certificate verify failed"):
        read_page(page, DIRECT)
    with pytest.raises(PackDownloadFailed, match=r"certificate file .*none.pem cannot be used"):
        read_page(page, Access(ca_file=str(tmp_path / "none.pem")))


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
