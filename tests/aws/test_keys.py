"""The key file: creation, reading, permissions."""

import json
import os
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from likeness.aws import keys
from likeness.aws.key_file import KeyFile
from likeness.aws.keys import Key, create_key, create_session, load_keys, read_records, revoke_key
from likeness.aws.policy import Context, decide
from likeness.aws.shapes import ACTION
from likeness.errors import SettingsError

CONTEXT = Context(None, datetime.now(UTC), secure_transport=False)
S3_POLICY = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "keys.json"


def allowed(key: Key, action: str) -> bool:
    return decide(key.policies, action, "*", CONTEXT).allowed


def replace_file(path: Path, text: str, mode: int = 0o600) -> None:
    other = path.with_name("other")
    other.write_text(text)
    other.chmod(mode)
    os.replace(other, path)


def test_a_new_key_can_be_looked_up(path: Path) -> None:
    record = create_key(path, "kiosk", account="111122223333")
    assert path.stat().st_mode & 0o777 == 0o600
    assert record.id.startswith("AKIA")
    assert len(record.id) == 20
    assert len(record.secret) == 40
    key = KeyFile(path).lookup(record.id)
    assert key is not None
    assert (key.secret, key.user_name, key.active, key.session_token) == (record.secret, "kiosk", True, None)
    assert key.arn == "arn:aws:iam::111122223333:user/kiosk"
    assert key.principal_id.startswith("AIDA")
    assert len(key.principal_id) == 21
    assert KeyFile(path).lookup("AKIDNOBODY") is None


def test_without_a_policy_a_key_may_compare_but_not_read_s3(path: Path) -> None:
    record = create_key(path, "kiosk")
    key = load_keys(path)[record.id]
    assert allowed(key, ACTION)
    assert not allowed(key, "s3:GetObject")


def test_keys_share_an_account_and_differ_in_secrets(path: Path) -> None:
    first = create_key(path, "a", account="111122223333")
    second = create_key(path, "b")
    assert second.account == "111122223333"
    assert first.secret != second.secret
    assert first.id != second.id


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"user": "a b"}, "not a user name"),
        ({"user": ""}, "not a user name"),
        ({"user": "x", "account": "123"}, "not an account id"),
        ({"user": "x", "policy": {"Statement": []}}, "no Statement"),
    ],
)
def test_a_key_that_cannot_be(path: Path, arguments: dict[str, Any], names: str) -> None:
    with pytest.raises(SettingsError, match=names):
        create_key(path, **arguments)
    assert not path.exists()


def test_temporary_credentials(path: Path) -> None:
    parent = create_key(path, "kiosk", policy={"Statement": [*S3_POLICY["Statement"], *compare()]})
    record = create_session(path, parent.id, duration=timedelta(minutes=15), policy={"Statement": compare()})
    key = load_keys(path)[record.id]
    assert record.id.startswith("ASIA")
    assert key.session_token == record.session_token
    assert key.expires is not None
    assert timedelta(minutes=14) < key.expires - datetime.now(UTC) <= timedelta(minutes=15)
    assert key.arn == load_keys(path)[parent.id].arn
    assert key.charged_id == load_keys(path)[parent.id].charged_id == parent.id
    # Narrowed by its own policy, and never wider than the key's.
    assert allowed(key, ACTION)
    assert not allowed(key, "s3:GetObject")


def compare() -> list[dict[str, Any]]:
    return [{"Effect": "Allow", "Action": ACTION, "Resource": "*"}]


def test_a_session_policy_cannot_widen(path: Path) -> None:
    parent = create_key(path, "kiosk")
    record = create_session(path, parent.id, policy={"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    assert not allowed(load_keys(path)[record.id], "s3:GetObject")


def test_a_session_ends_with_its_key(path: Path) -> None:
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)
    parent = create_key(path, "kiosk", expires=soon)
    record = create_session(path, parent.id)
    assert load_keys(path)[record.id].expires == soon
    revoke_key(path, parent.id)
    assert not load_keys(path)[record.id].active
    assert not load_keys(path)[parent.id].active


def test_a_session_without_its_key_is_not_in_force(path: Path) -> None:
    """As after somebody has deleted the key's entry, and not the session's, with an editor."""
    record = create_session(path, create_key(path, "kiosk").id)
    contents = json.loads(path.read_text())
    contents["keys"] = [each for each in contents["keys"] if each["id"] == record.id]
    replace_file(path, json.dumps(contents))
    assert not load_keys(path)[record.id].active


def test_only_keys_in_force_have_sessions(path: Path) -> None:
    parent = create_key(path, "kiosk")
    session = create_session(path, parent.id)
    with pytest.raises(SettingsError, match="only an access key"):
        create_session(path, session.id)
    for duration in (timedelta(0), timedelta(hours=37)):
        with pytest.raises(SettingsError, match="1 second to 129600"):
            create_session(path, parent.id, duration=duration)
    with pytest.raises(SettingsError, match="no Statement"):
        create_session(path, parent.id, policy={"Statement": []})
    over = create_key(path, "over", expires=datetime.now(UTC) - timedelta(seconds=1))
    revoke_key(path, parent.id)
    for ended in (parent, over):
        with pytest.raises(SettingsError, match="only an access key"):
            create_session(path, ended.id)
    assert set(load_keys(path)) == {parent.id, session.id, over.id}


def test_a_session_can_be_revoked_alone_and_a_key_deleted_with_its_sessions(path: Path) -> None:
    parent = create_key(path, "kiosk")
    first, second = create_session(path, parent.id), create_session(path, parent.id)
    revoke_key(path, first.id)
    states = {key.id: key.active for key in load_keys(path).values()}
    assert states == {parent.id: True, first.id: False, second.id: True}
    revoke_key(path, parent.id, delete=True)
    assert load_keys(path) == {}
    with pytest.raises(SettingsError, match="there is no key"):
        revoke_key(path, parent.id)


def test_sessions_long_over_are_forgotten(path: Path) -> None:
    parent = create_key(path, "kiosk")
    session, recent = create_session(path, parent.id), create_session(path, parent.id)
    contents = json.loads(path.read_text())
    contents["keys"][1]["expires"] = "2020-01-01T00:00:00Z"
    contents["keys"][2]["expires"] = (datetime.now(UTC) - timedelta(days=6)).isoformat()
    replace_file(path, json.dumps(contents))
    assert load_keys(path)[session.id].expires == datetime(2020, 1, 1, tzinfo=UTC)
    create_key(path, "other")
    assert session.id not in load_keys(path)
    assert recent.id in load_keys(path)  # it is told that it has expired


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o604, 0o660, 0o644, 0o450, 0o400 | 0o020])
def test_a_file_open_to_others_is_refused(path: Path, mode: int, caplog: pytest.LogCaptureFixture) -> None:
    record = create_key(path, "a")
    file = KeyFile(path)
    path.chmod(mode)
    with pytest.raises(SettingsError, match=f"mode {mode:o}.*chmod 600"):
        KeyFile(path)
    assert file.lookup(record.id) is not None
    assert "chmod 600" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o440, 0o640])
def test_a_group_may_read_a_file_only_if_root_owns_it(path: Path, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes makes a Secret's file so under an fsGroup."""
    record = create_key(path, "a")
    path.chmod(mode)
    look = os.fstat

    def owned_by(owner: int) -> None:
        def fstat(descriptor: int) -> os.stat_result:
            status = list(look(descriptor))
            status[stat.ST_UID] = owner
            return os.stat_result(status)

        monkeypatch.setattr(keys.os, "fstat", fstat)

    owned_by(0)
    assert record.id in load_keys(path)
    owned_by(1000)
    with pytest.raises(SettingsError, match=f"mode {mode:o}.*chmod 600"):
        load_keys(path)


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root may give a file away")
def test_a_change_by_root_leaves_the_file_to_the_servers_user(path: Path) -> None:
    create_key(path, "a")
    os.chown(path, 12345, 23456)
    create_key(path, "b")
    assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777) == (12345, 23456, 0o600)
    os.chown(path, 0, 23456)
    path.chmod(0o640)
    create_key(path, "c")
    assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777) == (0, 23456, 0o640)


GOOD: dict[str, Any] = {
    "id": "AKIAAAAAAAAAAAAAAAAA",
    "secret": "hidden-secret",
    "user": "a",
    "account": "111122223333",
    "created": "2026-01-01T00:00:00Z",
    "policy": {"Statement": compare()},
}


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        ([GOOD, GOOD], "is duplicate"),
        ([GOOD | {"colour": "red"}], "colour"),
        ([GOOD | {"id": "short"}], "not a key id"),
        ([GOOD | {"secret": ""}], "not a key id, or it has no secret"),
        ([GOOD | {"secret": None}], "secret"),
        ([GOOD | {"user": "a/b"}], "not a user name"),
        ([GOOD | {"account": "x"}], "not an account id"),
        ([GOOD | {"policy": None}], "has no policy; add one"),
        ([GOOD | {"policy": {"Statement": []}}], "AKIAAAAAAAAAAAAAAAAA: policy: it has no Statement"),
        ([GOOD | {"session_token": "x"}], "belong together"),
        ([GOOD | {"parent": "AKIAAAAAAAAAAAAAAAAA"}], "belong together"),
        ([GOOD | {"expires": "2026-01-01T00:00:00"}], "times need a zone"),
        ([GOOD | {"expires": "9999-12-31T23:59:59-14:00"}], "after 9999 in UTC"),
        ([GOOD | {"created": "0001-01-01T00:00:00+14:00"}], "before year 1"),
        ([GOOD | {"expires": "soon"}], "expires"),
    ],
)
def test_mistakes_in_a_file_are_named_and_secrets_are_not(path: Path, entries: list[Any], names: str) -> None:
    path.parent.mkdir()
    replace_file(path, json.dumps({"keys": entries}))
    with pytest.raises(SettingsError) as raised:
        load_keys(path)
    assert names in str(raised.value)
    assert str(path) in str(raised.value)
    assert "hidden-secret" not in str(raised.value)


def test_a_file_that_is_not_there_or_too_large(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="likeness keys create"):
        KeyFile(path)
    create_key(path, "a")
    monkeypatch.setattr(keys, "_MAX_FILE_BYTES", 10)
    with pytest.raises(SettingsError, match="larger than 10 bytes"):
        KeyFile(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        KeyFile(path.parent)


def test_secrets_are_not_shown(path: Path) -> None:
    parent = create_key(path, "a")
    record = create_session(path, parent.id)
    key = load_keys(path)[record.id]
    assert record.session_token is not None
    for shown in (repr(record), repr(key), str(key), repr(read_records(path))):
        assert record.secret not in shown
        assert record.session_token not in shown


def test_writers_wait_for_each_other(path: Path) -> None:
    create_key(path, "first")
    file = KeyFile(path)
    threads = [threading.Thread(target=create_key, args=(path, f"user{n}")) for n in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert len(file) >= 1
    for thread in threads:
        thread.join()
    assert len(file) == 9
    assert [left.name for left in path.parent.iterdir() if left.name not in ("keys.json", "keys.json.lock")] == []


def test_a_link_stays_a_link(path: Path) -> None:
    create_key(path, "a")
    link = path.parent / "link.json"
    link.symlink_to(path)
    create_key(link, "b")
    assert link.is_symlink()
    assert len(load_keys(path)) == 2


def test_where_keys_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIKENESS_KEYS", str(tmp_path / "mine.json"))
    assert keys.default_path() == tmp_path / "mine.json"
    monkeypatch.delenv("LIKENESS_KEYS")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert keys.default_path() == tmp_path / "likeness" / "keys.json"


def test_where_keys_are_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(keys.Path, "home", homeless)
    monkeypatch.delenv("LIKENESS_KEYS", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert keys.default_path() == Path("/etc/likeness/keys.json")
