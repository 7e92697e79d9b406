"""Installation: from the index or a folder, interrupted anywhere, by many at once; a pack is complete or absent."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from likeness.errors import PackDamaged, PackDownloadFailed, PackInvalid, PackNotInstalled
from likeness.packs import installation, integrity, originals, progress, store
from likeness.packs.manifest import read_manifest


def installed_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def assert_whole(home: Path, tiny) -> None:
    (folder,) = (home / "packs").iterdir()
    assert installed_files(folder) == ["a.onnx", "b.onnx", "manifest.toml"]
    assert (folder / "a.onnx").read_bytes() == tiny.a
    assert (folder / "b.onnx").read_bytes() == tiny.b
    assert store.damages(folder) == []


@pytest.fixture
def installed(tiny_index, handed: Path) -> Path:
    """The folder of the pack, installed from a folder, which is quicker than from the index."""
    return installation.install("tiny", source_dir=handed)


@pytest.fixture
def handed(tiny, tmp_path: Path) -> Path:
    """A folder with the distribution files."""
    folder = tmp_path / "handed"
    folder.mkdir()
    for name, content in tiny.files.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_pack_is_a_folder_with_the_permissions_of_the_umask(tiny_index, tiny, home: Path, heard) -> None:
    folder = installation.install("tiny", progress=heard)
    assert folder.parent == home / "packs"
    assert_whole(home, tiny)
    manifest = read_manifest(folder)
    assert manifest.files["a.onnx"].size == len(tiny.a)
    assert manifest.files["a.onnx"].licence == "MIT"
    assert manifest.distributions["big"].version == "2.0"
    plain = home / "plain"
    plain.mkdir()
    assert folder.stat().st_mode == plain.stat().st_mode
    assert not (home / "downloads" / "tiny").exists()
    assert heard.lines[-1].startswith("installed tiny in ")


def test_a_second_installation_uses_no_network(tiny_index, installed: Path, heard) -> None:
    installation.install("tiny", progress=heard)
    installation.ensure("tiny")
    assert tiny_index.requests == []
    assert heard.lines[0].startswith("tiny is installed and undamaged in ")


def test_an_installed_pack_needs_no_writable_folder(installed: Path, monkeypatch) -> None:
    monkeypatch.setattr("likeness.packs.installation.one_at_a_time", lambda *_, **__: pytest.fail("a lock was written"))
    assert installation.install("tiny") == installed


def test_an_automatic_installation_is_announced_in_the_log(tiny_index, caplog, monkeypatch) -> None:
    # A command that ran in this process before may have chosen its own way to show it.
    monkeypatch.setattr(progress, "_displays", progress._displays[:1])
    caplog.set_level("INFO", "likeness.packs")
    installation.ensure("tiny")
    levels = [(record.levelname, record.message.split(" in ")[0]) for record in caplog.records]
    assert levels[0] == ("WARNING", "installing the pack tiny")
    assert levels[-1] == ("INFO", "installed tiny")
    assert {level for level, _ in levels[1:]} == {"INFO"}


def test_a_command_shows_it_its_own_way(tiny_index, heard, monkeypatch) -> None:
    monkeypatch.setattr(progress, "_displays", progress._displays[:1])
    progress.show_automatic_with(lambda: nullcontext(heard))
    installation.ensure("tiny")
    assert heard.lines[0].startswith("installing the pack tiny in ")


def test_from_a_folder_without_any_network(tiny_index, tiny, home: Path, handed: Path, monkeypatch) -> None:
    monkeypatch.setenv("LIKENESS_OFFLINE", "1")
    installation.install("tiny", source_dir=handed)
    assert_whole(home, tiny)
    assert tiny_index.requests == []
    assert installed_files(handed) == sorted(tiny.files)


def test_a_folder_that_lacks_files_names_them_all(tiny_index, tiny, tmp_path: Path) -> None:
    with pytest.raises(PackNotInstalled, match=r"lacks big-2.0.tar.gz, small_net-1.0-py3-none-any.whl"):
        installation.install("tiny", source_dir=tmp_path)
    with pytest.raises(PackDownloadFailed, match="is not a folder"):
        installation.install("tiny", source_dir=tmp_path / "none")


def test_a_wrong_file_in_the_folder_is_named_and_nothing_is_installed(
    tiny_index, tiny, home: Path, handed: Path
) -> None:
    (handed / tiny.sdist_name).write_bytes(b"?")
    with pytest.raises(PackDamaged, match=r"big-2.0.tar.gz is not the published file"):
        installation.install("tiny", source_dir=handed)
    assert list((home / "packs").iterdir()) == []


@pytest.mark.parametrize("value", ["1", "true", "yes"])
def test_offline_never_touches_the_network_and_says_what_to_do(tiny_index, monkeypatch, value: str) -> None:
    monkeypatch.setenv("LIKENESS_OFFLINE", value)
    message = r"tiny is not installed in .* LIKENESS_OFFLINE .*likeness packs install tiny.*--from DIR.*big-2.0.tar.gz"
    with pytest.raises(PackNotInstalled, match=message):
        installation.ensure("tiny")
    assert tiny_index.requests == []


@pytest.mark.parametrize(
    ("pack", "kind", "remedy"),
    [
        ("yunet-retail", "file", "provide the published file with --from DIR"),
        ("standard", "bundled", "install Likeness"),
    ],
)
def test_a_file_that_is_not_the_published_one_is_named_with_a_remedy(
    tmp_path: Path, monkeypatch, pack: str, kind: str, remedy: str
) -> None:
    entry = store.known(pack)
    file = next(each for each in entry.files.values() if each.source and getattr(each.source, kind))
    wrong = tmp_path / getattr(file.source, kind)
    wrong.parent.mkdir(exist_ok=True)
    wrong.write_bytes(b"?")
    monkeypatch.setattr(store, "CATALOGUE", tmp_path)
    with pytest.raises(PackDamaged, match=f"is not the file that the pack {pack} needs: .*; {remedy}"):
        originals.Originals(entry, tmp_path, progress.LoggedProgress(), may_fetch=False).converted(file)


def test_a_member_with_the_wrong_hash_is_refused(tiny_index, tiny_catalogue: Path, handed: Path, home: Path) -> None:
    entry = tiny_catalogue / "tiny.toml"
    member_hash = store.known("tiny").files["b.onnx"].source.sha256
    entry.write_text(entry.read_text().replace(member_hash, "0" * 64))
    with pytest.raises(PackDamaged, match=r"big-2.0/b.onnx has the SHA-256 .*; correct the manifest"):
        installation.install("tiny", source_dir=handed)
    assert list((home / "packs").iterdir()) == []


@pytest.mark.parametrize("harm", ["truncate", "edit", "delete"])
def test_a_damaged_pack_is_mended_and_only_the_damaged_file_is_fetched(
    tiny_index, tiny, installed: Path, home: Path, harm: str
) -> None:
    damage(installed / "a.onnx", harm)
    (error,) = store.damages(installed)
    assert str(installed / "a.onnx") in str(error)
    assert "run: likeness packs install tiny" in str(error)
    installation.install("tiny")
    assert_whole(home, tiny)
    assert tiny_index.paths() == ["/simple/small-net/", f"/files/{tiny.wheel_name}"]


def damage(path: Path, harm: str) -> None:
    content = path.read_bytes()
    if harm == "delete":
        path.unlink()
    else:
        path.write_bytes(content[:-7] if harm == "truncate" else content[:50] + bytes([content[50] ^ 1]) + content[51:])


def test_a_damaged_pack_offline_says_so(installed: Path, monkeypatch) -> None:
    damage(installed / "a.onnx", "truncate")
    monkeypatch.setenv("LIKENESS_OFFLINE", "1")
    with pytest.raises(PackNotInstalled, match="tiny is damaged in"):
        installation.install("tiny")
    assert installed.is_dir()


def test_another_version_shares_what_is_the_same(tiny_index, installed: Path, tiny_catalogue: Path, home: Path) -> None:
    first = installed
    entry = tiny_catalogue / "tiny.toml"
    entry.write_text(entry.read_text().replace('version = "1"', 'version = "2"', 1))
    second = installation.install("tiny")
    assert tiny_index.requests == []
    assert first != second
    assert (first / "a.onnx").samefile(second / "a.onnx")
    assert installation.remove("tiny") == sorted([first, second])
    assert list((home / "packs").iterdir()) == []


def test_a_new_converted_hash_in_the_catalogue_means_converting_again(
    tiny_index, installed: Path, tiny_catalogue: Path
) -> None:
    entry = tiny_catalogue / "tiny.toml"
    row = f'[files."a.onnx"]\nsha256 = "{store.known("tiny").files["a.onnx"].sha256}"'
    entry.write_text(entry.read_text().replace(row, f'[files."a.onnx"]\nsha256 = "{"0" * 64}"'))
    installation.install("tiny")
    assert tiny_index.paths()[0] == "/simple/small-net/"


def test_a_cache_folder_that_cannot_be_made_is_named(tiny_index, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path / "file"))
    with pytest.raises(PackDownloadFailed, match=r"file.* cannot be written .*LIKENESS_HOME"):
        installation.install("tiny")


@pytest.mark.parametrize("folder", ["/proc/none", "loop/none", "x" * 300])
def test_a_cache_folder_in_an_impossible_place_is_named(folder: str, tiny_index, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path / folder))
    with pytest.raises(PackDownloadFailed, match=r"cannot be written .*; set LIKENESS_HOME to a writable folder"):
        installation.install("tiny")


def test_a_disk_that_fills_up_while_converting(tiny_index, handed: Path, home: Path, monkeypatch) -> None:
    def full(path: Path, data: bytes, mode: int) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(installation, "write_atomically", full)
    with pytest.raises(PackDownloadFailed, match=r"the disk is full: .*a.onnx cannot be written; free some space"):
        installation.install("tiny", source_dir=handed)
    assert list((home / "packs").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path):
    """A disk of 2 MB; making one needs root and mount."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk can only be mounted as root on Linux")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.fault
def test_a_disk_that_is_really_full(tiny_index, tiny, handed: Path, small_disk: Path, monkeypatch) -> None:
    monkeypatch.setenv("LIKENESS_HOME", str(small_disk))
    # The check beforehand is passed by, as when another process takes the room meanwhile.
    monkeypatch.setattr("likeness.packs.download.shutil.disk_usage", lambda _: SimpleNamespace(free=1 << 40))
    with pytest.raises(PackDownloadFailed, match=r"the disk is full: .*small/.* free some space"):
        installation.install("tiny")
    assert list((small_disk / "packs").iterdir()) == []
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    installation.install("tiny", source_dir=handed)
    assert_whole(small_disk, tiny)


def test_other_errors_of_the_disk_are_not_hidden() -> None:
    with pytest.raises(OSError, match="I/O"), integrity.disk_errors(Path("/x")):
        raise OSError(5, "I/O error")


# --- other processes -------------------------------------------------------------------------------------------------

INSTALL = """
import sys
from pathlib import Path
from likeness.packs import download, installation, originals, store
store.CATALOGUE = Path({catalogue!r})
{before}
class Said:
    def __init__(self): self.lines = []
    def say(self, text): print(text, flush=True)
    def download(self, file, total): import contextlib; return contextlib.nullcontext(self)
    def reached(self, done): {on_bytes}
print("folder", installation.install("tiny", progress=Said()))
"""


@pytest.fixture
def start_process(tiny_index, tiny_catalogue: Path, home: Path):
    """A function that starts an installation in a process of its own."""

    processes: list[subprocess.Popen[str]] = []

    def start(before: str = "", on_bytes: str = "pass") -> subprocess.Popen[str]:
        code = textwrap.dedent(INSTALL).format(catalogue=str(tiny_catalogue), before=before, on_bytes=on_bytes)
        process = subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


KILL = "__import__('os').kill(__import__('os').getpid(), 9)"


def stopped_before(function: str, call: int, how: str = KILL) -> str:
    """Code that ends, or otherwise stops, the process at the given call of a function."""
    return textwrap.dedent(f"""
        real, calls = {function}, [0]
        def stopping(*args, **kwargs):
            calls[0] += 1
            if calls[0] == {call}: {how}
            return real(*args, **kwargs)
        {function} = stopping
    """)


@pytest.mark.parametrize(
    ("before", "on_bytes"),
    [
        ("", f"{KILL} if done else None"),
        ("", f"{KILL} if done > 1_000_000 else None"),
        (stopped_before("installation.write_atomically", 1), "pass"),
        (stopped_before("installation.write_atomically", 2), "pass"),
        (stopped_before("installation.write_atomically", 3), "pass"),
        (stopped_before("download.os.replace", 1), "pass"),
        (stopped_before("installation.os.replace", 5), "pass"),
        (stopped_before("installation.Installation._put_in_place", 1), "pass"),
        (stopped_before("originals.Originals.clean", 1), "pass"),
    ],
    ids=[
        "first bytes",
        "later bytes",
        "before the first file",
        "before the second",
        "before the manifest",
        "before the renaming of a download",
        "before the renaming of the pack",
        "before it is put in place",
        "before the downloads are deleted",
    ],
)
def test_killed_at_any_point_the_next_run_finishes(start_process, tiny, home: Path, before: str, on_bytes: str) -> None:
    process = start_process(before, on_bytes)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    visible = [path for path in (home / "packs").glob("*") if not path.name.startswith(".")]
    assert all(store.damages(folder) == [] for folder in visible)
    installation.install("tiny")
    assert_whole(home, tiny)
    assert not (home / "downloads" / "tiny").exists()


def test_killed_while_bytes_come_the_next_run_goes_on_where_it_stopped(
    start_process, tiny_index, tiny, home: Path
) -> None:
    tiny_index.block_bytes, tiny_index.pause_s = 50_000, 0.02
    process = start_process()
    parts = home / "downloads" / "tiny"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(part.stat().st_size > 500_000 for part in parts.glob("*.part")):
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=120)
    (part,) = parts.glob("*.part")
    have = part.stat().st_size
    tiny_index.pause_s = 0.0
    tiny_index.requests.clear()
    installation.install("tiny")
    assert_whole(home, tiny)
    assert [headers["range"] for _, headers in tiny_index.requests if "range" in headers] == [f"bytes={have}-"]


def test_ten_processes_at_once_install_once(start_process, tiny_index, tiny, home: Path) -> None:
    tiny_index.pause_s = 0.02
    processes = [start_process() for _ in range(10)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 10, outputs
    assert sorted(tiny_index.paths()) == sorted(
        ["/simple/small-net/", "/simple/big/", f"/files/{tiny.wheel_name}", f"/files/{tiny.sdist_name}"]
    )
    assert_whole(home, tiny)
    assert sum("waiting for it" in out for out, _ in outputs) >= 1


def test_a_waiting_installation_continues_when_the_other_is_killed(start_process, tiny_index, tiny, home: Path) -> None:
    first = start_process(stopped_before("installation.write_atomically", 1, "__import__('time').sleep(60)"))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list((home / "packs").glob(".tiny-*")):
        time.sleep(0.02)
    second = start_process()
    assert second.stdout.readline().startswith("another process installs or removes the pack tiny")
    first.kill()
    first.communicate(timeout=120)
    _, err = second.communicate(timeout=120)
    assert second.returncode == 0, err
    assert_whole(home, tiny)


def test_nothing_of_a_distribution_is_executed(tiny_index, tiny, home: Path) -> None:
    # setup.py and __init__.py of both distributions end the process that runs them; and nothing but the network stays.
    installation.install("tiny")
    assert not [path for path in home.rglob("*") if path.suffix == ".py"]
    assert os.path.basename(sys.argv[0]) != "setup.py"


@pytest.mark.parametrize("name", ["yunet", "mobilefacenet", "face-mesh", "expression"])
def test_every_converter_that_a_manifest_may_name_refuses_what_it_is_not_for(name: str) -> None:
    with pytest.raises(PackDamaged):
        originals.converter(name)(b"not a network")


def test_a_converter_that_is_not_there_is_named() -> None:
    with pytest.raises(PackInvalid, match="there is no converter 'none'; known are yunet, "):
        originals.converter("none")


def test_the_catalogue_names_converters_that_are_there() -> None:
    for pack in store.catalogue().values():
        for file in pack.files.values():
            if file.source and file.source.converter:
                assert callable(originals.converter(file.source.converter))
