"""Writes a software bill of materials (CycloneDX 1.6, JSON): the released set, and the files of the pack `standard`.

Versions and hashes are those of deploy/requirements.txt and of the pack's manifest. Licences and dependencies are read
from the packages that are installed (`make sbom`).

Usage: python deploy/sbom.py FILE
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from likeness import __version__
from likeness.packs import store
from likeness.packs.manifest import Manifest, PackFile

RELEASED = Path(__file__).with_name("requirements.txt")
#: Some packages give the whole text of their licence instead of its name.
_LONGEST_NAME = 80


def released() -> Iterator[tuple[Requirement, list[str]]]:
    """The packages of the released set, each with the SHA-256 of its wheels."""
    text = re.sub(r"^#.*\n", "", RELEASED.read_text("utf-8"), flags=re.MULTILINE)
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        requirement, *hashes = line.split("--hash=sha256:")
        yield Requirement(requirement), [each.strip() for each in hashes]


def bill() -> Bom:
    """Likeness, its packages and the files of its pack."""
    bom = Bom()
    likeness = Component(
        name="likeness",
        version=__version__,
        type=ComponentType.APPLICATION,
        bom_ref="likeness",
        licenses=[LicenseFactory().make_from_string("Apache-2.0")],
    )
    bom.metadata.component = likeness
    packages: dict[str, list[Component]] = {}
    for requirement, hashes in released():
        packages.setdefault(canonicalize_name(requirement.name), []).append(_package(requirement, hashes))
    files = list(_files(store.known("standard")))
    bom.components.update([*(each for versions in packages.values() for each in versions), *files])
    direct = _needed(distribution("likeness"), packages)
    bom.register_dependency(likeness, [*direct, *files])
    for name, versions in packages.items():
        for component in versions:
            bom.register_dependency(component, _needed(_installed(name), packages))
    return bom


def _package(requirement: Requirement, hashes: list[str]) -> Component:
    (version,) = (each.version for each in requirement.specifier)
    url = PackageURL("pypi", name=canonicalize_name(requirement.name), version=version)
    licence = _licence(_installed(requirement.name))
    # One for each wheel: an external reference may have one hash of a kind.
    wheels = [
        ExternalReference(
            type=ExternalReferenceType.DISTRIBUTION,
            url=XsUri(f"{url}#{digest[:12]}"),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        )
        for digest in hashes
    ]
    return Component(
        name=requirement.name,
        version=version,
        type=ComponentType.LIBRARY,
        purl=url,
        bom_ref=str(url),
        licenses=[LicenseFactory().make_from_string(licence)] if licence else None,
        external_references=wheels,
        properties=[Property(name="likeness:marker", value=str(requirement.marker))] if requirement.marker else None,
    )


def _files(pack: Manifest) -> Iterator[Component]:
    for file in pack.files.values():
        yield Component(
            name=file.name,
            version=pack.version,
            group=f"pack:{pack.name}",
            type=ComponentType.MACHINE_LEARNING_MODEL if file.name.endswith(".onnx") else ComponentType.DATA,
            bom_ref=f"pack:{pack.name}/{file.name}",
            description=file.origin,
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=file.sha256)],
            licenses=[LicenseFactory().make_from_string(file.licence)],
            properties=list(_source(pack, file)),
        )


def _source(pack: Manifest, file: PackFile) -> Iterator[Property]:
    if file.source is None or not file.source.distribution:
        return
    made_of = pack.distributions[file.source.distribution]
    yield Property(name="likeness:distribution", value=f"{made_of.index}: {made_of.project} {made_of.version}")
    yield Property(name="likeness:distribution-sha256", value=made_of.sha256)


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:  # only on other platforms or versions of Python
        return None


def _licence(installed: Distribution | None) -> str:
    if installed is None:
        return ""
    metadata = installed.metadata
    stated = [each for name in ("License-Expression", "License") for each in metadata.get_all(name) or [] if each]
    expression = str(stated[0]) if stated else ""
    if expression and len(expression) <= _LONGEST_NAME:
        return expression
    classifiers = metadata.get_all("Classifier") or []
    named = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License :: ")]
    return named[0] if named else expression.strip().partition("\n")[0][:_LONGEST_NAME]


def _needed(installed: Distribution | None, packages: dict[str, list[Component]]) -> list[Component]:
    wanted = [Requirement(each) for each in (installed.requires or [])] if installed is not None else []
    chosen = {
        canonicalize_name(each.name) for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})
    }
    return [component for name in chosen for component in packages.get(name, [])]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(JsonV1Dot6(bill()).output_as_string(indent=1), "utf-8")
