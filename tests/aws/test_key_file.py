"""A key file in use: changes are loaded, and failures retried."""

import logging
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from likeness.aws.key_file import KeyFile
from likeness.aws.keys import Key, create_key, create_session, revoke_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "keys.json"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def replace_file(path: Path, text: str) -> None:
    other = path.with_name("other")
    other.write_text(text)
    other.chmod(0o600)
    os.replace(other, path)


@contextmanager
def no_free_descriptor() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def is_active(file: KeyFile, key_id: str) -> bool:
    key = file.lookup(key_id)
    assert key is not None
    return key.active


def test_a_running_server_sees_changes(path: Path) -> None:
    first = create_key(path, "a")
    file = KeyFile(path)
    second = create_key(path, "b")
    assert file.lookup(second.id) is not None
    assert len(file) == 2
    revoke_key(path, first.id)
    key = file.lookup(first.id)
    assert key is not None
    assert not key.active


@pytest.mark.parametrize("at_start", [True, False])
def test_a_key_revoked_while_the_file_is_read_is_refused(
    path: Path, at_start: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likeness.aws import key_file

    record = create_key(path, "a")
    file = None if at_start else KeyFile(path)
    load = key_file.load_keys

    def load_and_revoke(path: Path) -> dict[str, Key]:
        monkeypatch.undo()
        keys = load(path)
        revoke_key(path, record.id)
        return keys

    monkeypatch.setattr(key_file, "load_keys", load_and_revoke)
    if file is None:
        file = KeyFile(path)
    else:
        create_key(path, "b")
        assert is_active(file, record.id)  # as it was when it was read
    assert not is_active(file, record.id)


#: Parsers and checks that call themselves raise RecursionError for it.
DEEP = '{"keys":[{"policy":' + '{"a":' * 100_000


@pytest.mark.parametrize("broken", ["{", "[]", '{"keys":[{"id":"AKIAAAAAAAAAAAAAAAAA"}]}', '{"version":2}', DEEP, None])
def test_a_broken_file_leaves_the_last_good_keys(
    path: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    record = create_key(path, "a")
    good = path.read_text()
    file = KeyFile(path)
    if broken is None:
        path.unlink()
    else:
        replace_file(path, broken)
    with caplog.at_level(logging.INFO):
        assert file.lookup(record.id) is not None
        assert file.lookup(record.id) is not None
    messages = [entry.getMessage() for entry in caplog.records if entry.name == "likeness.aws.key_file"]
    assert len(messages) == 1
    assert "stay in force" in messages[0]
    assert record.secret not in messages[0]
    replace_file(path, good.replace('"a"', '"renamed"'))
    key = file.lookup(record.id)
    assert key is not None
    assert key.user_name == "renamed"


def test_a_key_revoked_while_the_file_cannot_be_read_is_refused_as_soon_as_it_can(path: Path) -> None:
    clock = Clock()
    record = create_key(path, "a")
    file = KeyFile(path, clock=clock)
    revoke_key(path, record.id)
    with no_free_descriptor():
        assert is_active(file, record.id)
        clock.now += 30
        assert is_active(file, record.id)
        assert file.failing_seconds == 30
    assert is_active(file, record.id)  # tried a moment ago
    clock.now += 1
    assert not is_active(file, record.id)
    assert file.failing_seconds == 0


def test_what_cannot_be_used_is_tried_once_a_second_and_at_once_when_it_changes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likeness.aws import key_file

    create_key(path, "a")
    clock = Clock()
    file = KeyFile(path, clock=clock)
    tried: list[float] = []
    load = key_file.load_keys
    monkeypatch.setattr(key_file, "load_keys", lambda path: [tried.append(clock.now), load(path)][1])
    replace_file(path, "{")
    for _ in range(21):
        file.refresh()
        clock.now += 0.1
    assert len(tried) == 3
    replace_file(path, "[]")
    file.refresh()
    assert len(tried) == 4


def test_a_file_that_was_away_and_is_back_unchanged_is_in_force(path: Path) -> None:
    record = create_key(path, "a")
    clock = Clock()
    file = KeyFile(path, clock=clock)
    # The folder, as a mount would be: renaming the file itself would be a change of it.
    away = path.parent.rename(path.parent.with_name("away"))
    file.refresh()
    clock.now += 5
    assert file.failing_seconds == 5
    away.rename(path.parent)
    clock.now += 5
    assert is_active(file, record.id)
    assert file.failing_seconds == 0


def test_a_secret_volume_is_followed_when_its_links_are_swapped(tmp_path: Path) -> None:
    """keys.json -> ..data/keys.json, ..data -> ..2026_01: Kubernetes renames a new link over ..data."""
    record = create_key(tmp_path / "..2026_01" / "keys.json", "a")
    (tmp_path / "..data").symlink_to("..2026_01")
    (tmp_path / "keys.json").symlink_to(Path("..data") / "keys.json")
    file = KeyFile(tmp_path / "keys.json")
    assert is_active(file, record.id)
    (tmp_path / "..2026_02").mkdir()
    new = tmp_path / "..2026_02" / "keys.json"
    new.write_bytes((tmp_path / "..2026_01" / "keys.json").read_bytes())
    new.chmod(0o600)
    revoke_key(new, record.id)
    (tmp_path / "..data_tmp").symlink_to("..2026_02")
    os.replace(tmp_path / "..data_tmp", tmp_path / "..data")
    assert not is_active(file, record.id)


def test_a_folder_in_the_place_of_the_file_takes_no_descriptors(path: Path) -> None:
    """It is tried again every second."""
    clock = Clock()
    record = create_key(path, "a")
    file = KeyFile(path, clock=clock)
    path.unlink()
    path.mkdir()
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        clock.now += 1
        assert is_active(file, record.id)
    assert len(os.listdir("/dev/fd")) == before


def test_a_pipe_in_the_place_of_the_file_is_not_waited_for(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record = create_key(path, "a")
    file = KeyFile(path)
    path.unlink()
    os.mkfifo(path, 0o600)
    assert is_active(file, record.id)
    assert "not a regular file" in caplog.text


def test_policies_that_name_packs_which_are_not_held_are_warned_of_at_each_load(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    create_key(path, "usual")
    create_key(path, "held", policy=naming("new"))
    KeyFile(path, packs=("standard", "new"))
    assert caplog.messages == []
    trial = create_key(path, "trial", policy=naming("old", "new"))
    session = create_session(path, trial.id, policy=naming("other"))
    create_session(path, trial.id)
    revoked = create_key(path, "revoked", policy=naming("older"))
    revoke_key(path, revoked.id)
    file = KeyFile(path, packs=("standard", "new"))
    expected = f"(see the settings pack and packs): {trial.id} (trial): old; {session.id} (trial): other"
    assert [message.partition(" does not hold ")[2] for message in caplog.messages] == [expected]
    KeyFile(path)  # which packs there are is not known
    revoke_key(path, trial.id)
    file.refresh()
    assert len(caplog.messages) == 1
    for number in range(12):
        create_key(path, f"user{number}", policy=naming("old"))
    file.refresh()
    assert caplog.messages[1].count(": old") == 10
    assert caplog.messages[1].endswith("; and 2 more keys")


def naming(*packs: str) -> dict[str, Any]:
    """A policy that allows these packs."""
    condition = {"StringEquals": {"likeness:Pack": list(packs)}}
    return {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}}
