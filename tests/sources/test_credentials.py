"""The server's credentials: sources that do not answer, that answer nonsense, and that change."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from likeness.errors import InvalidS3Object, SettingsError
from likeness.sources.credentials import CredentialsFinder
from likeness.sources.s3 import S3Store
from likeness.sources.store import StoreSettings

from .test_bounded_http import read_request

Misbehaving = Callable[[Callable[[socket.socket, int], None]], str]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of empty configuration files; nothing else names credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path


def fetch(store: S3Store, seconds: float = 60) -> bytes:
    return store.fetch("bucket", "name", None, max_bytes=1000, deadline=time.monotonic() + seconds)


def write_key(files: Path, key: str) -> None:
    (files / "credentials").write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")


def test_a_credential_process_that_hangs_is_run_once_and_awaited_until_the_deadline(files: Path) -> None:
    (files / "config").write_text("[profile slow]\ncredential_process = sleep 30\n")
    store = S3Store(StoreSettings(endpoint_url="http://127.0.0.1:9", profile="slow"))
    begun = time.monotonic()
    for _ in range(3):
        with pytest.raises(InvalidS3Object, match="s3://bucket/name: the source of the server's credentials does not"):
            fetch(store, seconds=0.2)
    assert time.monotonic() - begun < 25
    assert [thread.name for thread in threading.enumerate()].count("credentials") == 1


@pytest.mark.parametrize("answer", ["", "[]", "{}", json.dumps({"Version": 1}), json.dumps({"Version": 9}), "\\xff"])
def test_an_invalid_answer_of_a_credential_process_is_the_services_error(files: Path, answer: str) -> None:
    (files / "answer").write_text(answer)
    (files / "config").write_text(f"[profile odd]\ncredential_process = cat {files / 'answer'}\n")
    store = S3Store(StoreSettings(endpoint_url="http://127.0.0.1:9", profile="odd"))
    with pytest.raises(InvalidS3Object):
        fetch(store)


def test_an_invalid_configuration_file_is_reported(files: Path) -> None:
    (files / "config").write_text("no section\n")
    with pytest.raises(SettingsError, match="s3 profile 'x'"):
        CredentialsFinder("x")
    with pytest.raises(InvalidS3Object):
        fetch(S3Store(StoreSettings(endpoint_url="http://127.0.0.1:9")))


def test_credentials_that_were_replaced_are_read_again_when_the_old_are_refused(
    files: Path, misbehaving: Misbehaving
) -> None:
    def only_new(connection: socket.socket, number: int) -> None:
        while request := read_request(connection):
            head = request.startswith(b"HEAD")
            body = b"photo" if b"Credential=NEW/" in request else b"<Error><Code>InvalidAccessKeyId</Code></Error>"
            status = b"200 OK" if body == b"photo" else b"403 Forbidden"
            connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body)))
            connection.sendall(b"" if head else body)

    write_key(files, "OLD")
    store = S3Store(StoreSettings(endpoint_url=misbehaving(only_new)))
    with pytest.raises(InvalidS3Object, match="access key is unknown"):
        fetch(store)
    write_key(files, "NEW")
    assert fetch(store) == b"photo"
