"""The released set covers what Likeness needs, and its bill of materials is valid and whole."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.deploy.conftest import DEPLOY, REPOSITORY

from likeness.packs import store

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))


def locked(name: str) -> dict[str, list[Requirement]]:
    """The requirements of a file by project, each of them with hashes."""
    found: dict[str, list[Requirement]] = {}
    for line in re.sub(r"\\\n\s*", "", (DEPLOY / name).read_text("utf-8")).splitlines():
        requirement, *hashes = line.split("--hash=sha256:")
        assert hashes
        assert all(re.fullmatch("[0-9a-f]{64}", each.strip()) for each in hashes), line
        read = Requirement(requirement)
        found.setdefault(canonicalize_name(read.name), []).append(read)
    return found


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("requirements.txt", PROJECT["project"]["dependencies"]),
        ("build-requirements.txt", PROJECT["build-system"]["requires"]),
    ],
)
def test_every_direct_dependency_is_in_the_released_set(name: str, wanted: list[str]) -> None:
    released = locked(name)
    for each in map(Requirement, wanted):
        for found in released[canonicalize_name(each.name)]:
            (version,) = (specifier.version for specifier in found.specifier)
            assert each.specifier.contains(version), f"{found}: pyproject.toml wants {each}"


def test_the_bill_of_materials_is_valid_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "likeness.cdx.json"
    command = [sys.executable, "-W", "error", str(DEPLOY / "sbom.py"), str(path)]
    written = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert written.returncode == 0, written.stderr
    text = path.read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = json.loads(text)["components"]
    packages = {each["name"] for each in components if each.get("purl", "").startswith("pkg:pypi/")}
    assert {canonicalize_name(each) for each in packages} == locked("requirements.txt").keys()
    pack = store.known("standard")
    files = {each["name"]: each for each in components if each.get("group") == "pack:standard"}
    assert files.keys() == pack.files.keys()
    for name, file in pack.files.items():
        assert files[name]["hashes"] == [{"alg": "SHA-256", "content": file.sha256}]
        assert files[name]["licenses"]
