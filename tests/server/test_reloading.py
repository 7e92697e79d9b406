"""Files that change while the server runs: unreadable keys, logs and certificates are retried."""

import os
import shutil
import signal
import ssl
from pathlib import Path

from likeness.aws.keys import create_key
from likeness.errors import SettingsError
from likeness.server.reloading import Reloading

from .conftest import Serve, make_certificate, wait_for


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_fails_is_tried_again_every_second_until_it_succeeds() -> None:
    clock = Clock()
    reloading = Reloading(clock=clock)
    tried: list[str] = []
    broken = {"bad"}

    def action(name: str) -> None:
        tried.append(name)
        if name in broken:
            raise SettingsError("not now")

    reloading.add("good", lambda: action("good"))
    reloading.add("bad", lambda: action("bad"))
    reloading.retry()
    assert tried == []
    reloading.reload()
    assert tried == ["good", "bad"]
    for _ in range(21):
        reloading.retry()
        clock.now += 0.1
    assert tried[2:] == ["bad", "bad"]
    assert reloading.failing_seconds() == {"good": 0.0, "bad": clock.now - 1000.0}
    broken.clear()
    clock.now += 1
    reloading.retry()
    reloading.retry()
    assert tried[4:] == ["bad"]
    assert reloading.failing_seconds() == {"good": 0.0, "bad": 0.0}


def test_a_key_file_that_cannot_be_read_shows_in_the_metrics_and_then_in_readyz(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    create_key(path, "a")
    server = serve("--keys", str(path), "--reload-grace-seconds", "0.5")
    server.wait_ready()
    assert b'likeness_stale_files{file="keys"} 0.0' in server.get("/metrics").body
    path.rename(tmp_path / "away")
    assert b'likeness_stale_files{file="keys"} 1.0' in server.get("/metrics").body
    wait_for(lambda: server.get("/readyz").status == 503)
    assert server.get("/readyz").json == {"status": "stale", "pack": "standard", "files": ["keys"]}
    assert server.get("/healthz").status == 200
    (tmp_path / "away").rename(path)
    wait_for(lambda: server.get("/readyz").status == 200)
    assert b'likeness_stale_files{file="keys"} 0.0' in server.get("/metrics").body


def test_a_renewed_certificate_is_loaded_only_when_complete(
    serve: Serve,
    certificate: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    cert, key = (Path(shutil.copy(each, tmp_path)) for each in certificate)
    server = serve("--tls-certificate", str(cert), "--tls-key", str(key))

    def served() -> str:
        return ssl.get_server_certificate(("127.0.0.1", server.port)).strip()

    served()  # before it serves, it does not heed SIGHUP
    (tmp_path / "new").mkdir()
    new_cert, new_key = make_certificate(tmp_path / "new")
    os.replace(new_cert, cert)
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "stays in use" in server.errors)
    assert served() == certificate[0].read_text().strip()
    os.replace(new_key, key)
    wait_for(lambda: served() == cert.read_text().strip())


def test_a_log_that_cannot_be_opened_after_sighup_is_tried_again(serve: Serve) -> None:
    server = serve("--access-log", "logs/access.jsonl", folders=["logs"])
    server.wait_ready()
    logs = server.folder / "logs"
    logs.rename(server.folder / "rotated")
    logs.write_text("in the way")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "stays in use" in server.errors)
    logs.unlink()
    logs.mkdir()
    wait_for((logs / "access.jsonl").exists)


def test_policies_that_name_packs_which_are_not_held_are_warned_of(serve: Serve, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"

    def create(user: str, *packs: str) -> None:
        condition = {"StringEquals": {"likeness:Pack": list(packs)}}
        statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}
        create_key(keys, user, policy={"Statement": statement})

    create("trial", "standard", "new", "old")
    server = serve("--keys", str(keys), "--packs", "new")
    wait_for(lambda: "(trial): old" in server.errors)
    create("later", "older")
    wait_for(lambda: "(trial): old; " in server.errors and "(later): older" in server.errors)
