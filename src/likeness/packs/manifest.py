"""The manifest of a model pack, a folder with a `manifest.toml`, ONNX files and small data files.

    [pack]                    name, version, summary
    [distributions.ID]        where files come from: a project on a package index, its version, exact file and SHA-256
    [files."NAME"]            a file of the pack: SHA-256, size, licence and terms
    [files."NAME".source]     the original of that file, and its converter
    [roles.ROLE]              the file of the detector, embedder, mesh or expression network, and its input
    [scoring] [calibration]   from two vectors to a score, and from a score to Similarity
    [quality.BAR]             what LOW, MEDIUM, HIGH and AUTO require of a face
    [[accuracy]]              measured figures, each with the command that prints it

The catalogue's description of a pack and the manifest inside an installed pack have the same format. The installation
fills in the hashes and sizes of the files.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from msgspec import Meta, Struct

from likeness.claims import LEAST_ERRORS, claim_of_count
from likeness.errors import PackInvalid
from likeness.packs.detector_input import DetectorInput
from likeness.packs.embedder_input import EmbedderInput
from likeness.packs.tables import read_table
from likeness.vision.calibration import Calibration

MANIFEST_NAME = "manifest.toml"
DETECTOR_FAMILIES = ("yunet", "scrfd", "centerface")
#: The version of the computation of vectors, raised with every change, so that stored and new ones are not mixed.
VECTOR_FORM = 7

#: The package indexes that distributions come from, or "web" for the publisher's own address.
Index = Literal["python", "npm", "web"]
RoleName = Literal["detector", "embedder", "mesh", "expression"]

_Named = TypeVar("_Named", bound=Struct)
_Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Sha256OrUnknown = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
_FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
_DistributionFile = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]{0,254}\Z")]
_PackName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,63}\Z")]


class Distribution(Struct, frozen=True, forbid_unknown_fields=True):
    """One file of one release of a project on a package index, or at `url`; `id` is its key in the manifest.

    Files of npm have the name that `npm pack` gives them. `size` 0: unknown.
    """

    id: str
    project: str
    version: str
    file: _DistributionFile
    sha256: _Sha256
    size: int
    index: Index = "python"
    url: str = ""

    def __post_init__(self) -> None:
        if (self.index == "web") != bool(self.url):
            raise ValueError("has a url if its index is web, and only then")


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """The original of a pack's file.

    Exactly one of `distribution` (an id; `path` is inside it), `file` (provided by the user in a folder) and `bundled`
    (a file that comes with Likeness, next to the catalogue) is set. `sha256` is that of the original; `converter`
    names the conversion to ONNX, empty for none. Without `path` the distribution is the file itself. `weights` is the
    distribution with the weights of a graph that is published in two files.
    """

    sha256: _Sha256
    distribution: str = ""
    path: str = ""
    file: str = ""
    bundled: str = ""
    converter: str = ""
    weights: str = ""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.distribution, self.file, self.bundled))) != 1:
            raise ValueError("needs exactly one of distribution, file, bundled")

    @property
    def distributions(self) -> list[str]:
        """The ids of its distributions."""
        return [id for id in (self.distribution, self.weights) if id]

    @property
    def description(self) -> str:
        """The origin of the file, for a table."""
        if self.distribution:
            return f"{self.distribution}: {self.path}"
        return self.file or f"with Likeness: {self.bundled}"


class PackFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A file of a pack; `size` 0: unknown. Of a file that is yet to be converted, `sha256` may be unknown, ""."""

    name: _FileName
    sha256: _Sha256OrUnknown = ""
    size: int = 0
    licence: str = ""
    licence_url: str = ""
    terms: str = ""
    origin: str = ""
    source: Source | None = None

    def __post_init__(self) -> None:
        if not self.sha256 and not (self.source and self.source.converter):
            raise ValueError("needs sha256")


class Role(Struct, frozen=True):
    """The role of a file; `parameters` describe its input and output, see the class named by `family`."""

    name: RoleName
    file: str
    family: str
    parameters: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        if self.name == "detector" and self.family not in DETECTOR_FAMILIES:
            raise ValueError(f"has the family {self.family!r}; detectors are {', '.join(DETECTOR_FAMILIES)}")


class Scoring(Struct, frozen=True):
    """How two vectors become a score: `method` ("cosine" or "normalised"), the data files it needs, and its numbers.

    "normalised" needs the file `cohort`, an array (K, D), and the number `nearest`. See `likeness.vision.scoring`.
    """

    method: str
    files: Mapping[str, str] = {}
    parameters: Mapping[str, Any] = {}


class Measurement(Struct, frozen=True, forbid_unknown_fields=True):
    """One measured figure: the measure, the data, the value with a 95 % interval if known, and the command for it.

    Of an error rate, also how many of how many pairs are errors; of a ratio of rates, `errors` is the lowest number.
    """

    measure: str
    data: str
    value: float
    low: float | None = None
    high: float | None = None
    command: str = ""
    errors: int | None = None
    pairs: int | None = None

    @property
    def measured(self) -> bool:
        """Whether it is based on enough errors, as far as their number is known."""
        return self.errors is None or self.errors >= LEAST_ERRORS

    @property
    def counted(self) -> str:
        """The errors and pairs for a table, "" if unknown."""
        if self.errors is None:
            return ""
        return f"{self.errors:,} or more a cell" if self.pairs is None else f"{self.errors:,} of {self.pairs:,}"

    def value_text(self, form: str = "{:g}") -> str:
        """The value for a table; of a rate with too few errors an upper bound: rarer than 3.0e-04."""
        if self.pairs and self.errors is not None and not self.measured:
            return claim_of_count(self.errors, self.pairs, self.high).in_figures
        return form.format(self.value)

    def interval_text(self, form: str = "{:g}") -> str:
        """The interval for a table, "" if it is unknown or the value is an upper bound."""
        if self.low is None or self.high is None or not self.measured:
            return ""
        return f"{form.format(self.low)} to {form.format(self.high)}"


class _CalibrationTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The table [calibration]: the curve, where it is from, and the `Manifest.score_identity` it is for, if known."""

    scores: tuple[float, ...]
    log10_rates: tuple[float, ...]
    equal_error_rate: float
    measured_log10_rate: float
    within: tuple[str, ...] = ()
    measured_on: str = ""
    command: str = ""
    vectors: str = ""
    cohort: str = ""


class _PackTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The table [pack]."""

    name: _PackName
    version: str
    summary: str = ""
    restriction: str = ""


class _Tables(Struct, frozen=True, forbid_unknown_fields=True):
    """The tables of a manifest. Those with names of their own are read one by one, so that errors have the name."""

    pack: _PackTable
    distributions: dict[str, dict[str, Any]] = {}
    files: dict[str, dict[str, Any]] = {}
    roles: dict[str, dict[str, Any]] = {}
    scoring: dict[str, Any] | None = None
    calibration: _CalibrationTable | None = None
    quality: dict[str, dict[str, Any]] = {}
    accuracy: tuple[Measurement, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """A pack's description; `folder` is its folder, None for a catalogue entry; `sha256` is that of the text.

    `restriction` says what the licence of a file forbids: such a pack is installed only if that is accepted.
    """

    name: str
    version: str
    summary: str
    distributions: Mapping[str, Distribution]
    files: Mapping[str, PackFile]
    roles: Mapping[str, Role]
    scoring: Scoring
    calibration: Calibration | None
    quality: Mapping[str, Mapping[str, float]]
    accuracy: tuple[Measurement, ...]
    sha256: str
    folder: Path | None = None
    restriction: str = ""
    table: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def described_as(self) -> str:
        """The pack in an error message: its manifest's path, or its name."""
        return str(self.folder / MANIFEST_NAME) if self.folder else f"the catalogue's pack {self.name!r}"

    @property
    def vector_identity(self) -> str:
        """What a face's vector depends on, as 24 hexadecimal digits: networks, and how they are fed."""
        makers = [self.roles[name] for name in ("detector", "mesh", "embedder") if name in self.roles]
        described = [[role.family, self.files[role.file].sha256, dict(role.parameters)] for role in makers]
        return hashlib.sha256(json.dumps([VECTOR_FORM, *described], sort_keys=True).encode()).hexdigest()[:24]

    @property
    def score_identity(self) -> dict[str, str]:
        """What a calibration is fitted to: the `vector_identity` and the SHA-256 of the cohort, "" for none."""
        cohort = "" if self.scoring.method == "cosine" else self.scoring.files.get("cohort", "")
        return {"vectors": self.vector_identity, "cohort": self.files[cohort].sha256 if cohort else ""}

    def role(self, name: str) -> Role:
        """The role `name`; PackInvalid if the pack does not have it."""
        if not self.roles:
            raise PackInvalid(f"{self.described_as} has no [roles], so it compares no faces; name a pack of networks")
        try:
            return self.roles[name]
        except KeyError:
            raise PackInvalid(f"{self.described_as} has no role {name!r}; it has {', '.join(self.roles)}") from None

    def detector_input(self) -> DetectorInput:
        """The detector's parameters; PackInvalid for others than a detector has."""
        return read_table(DetectorInput, self.role("detector").parameters, f"{self.described_as}: [roles.detector]")

    def embedder_input(self) -> EmbedderInput:
        """The embedder's input; PackInvalid if its description is incomplete."""
        return read_table(EmbedderInput, self.role("embedder").parameters, f"{self.described_as}: [roles.embedder]")

    def path(self, file: str) -> Path:
        """The path of a file of an installed pack; PackInvalid if the pack has no such file or is not installed."""
        if self.folder is None or file not in self.files:
            raise PackInvalid(f"{self.described_as} has no file {file!r}")
        return self.folder / file


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the pack in `folder`; PackInvalid if it cannot be read or is inconsistent."""
    path = folder / MANIFEST_NAME
    try:
        text = path.read_bytes()
    except OSError as error:
        raise PackInvalid(
            f"{path} cannot be read ({error.strerror}); a pack is a folder with {MANIFEST_NAME}"
        ) from error
    return parse_manifest(text, described_as=str(path), folder=folder)


def parse_manifest(text: bytes, *, described_as: str, folder: Path | None = None) -> Manifest:
    """The manifest in `text` (TOML, UTF-8); `described_as` names it in errors (PackInvalid)."""
    top = _read_toml(text, described_as)
    tables = read_table(_Tables, top, described_as)
    roles = {key: _with_parameters(table, "file", "family") for key, table in tables.roles.items()}
    scoring = {"method": "cosine"} if tables.scoring is None else tables.scoring
    manifest = Manifest(
        name=tables.pack.name,
        version=tables.pack.version,
        summary=tables.pack.summary,
        distributions=_each(Distribution, tables.distributions, described_as, "distributions", "id"),
        files=_each(PackFile, tables.files, described_as, "files", "name"),
        roles=_each(Role, roles, described_as, "roles", "name"),
        scoring=read_table(Scoring, _with_parameters(scoring, "method", "files"), f"{described_as}: [scoring]"),
        calibration=_calibration(tables.calibration, described_as),
        quality={
            key: read_table(dict[str, float], table, f"{described_as}: [quality.{key}]")
            for key, table in tables.quality.items()
        },
        accuracy=tables.accuracy,
        sha256=hashlib.sha256(text).hexdigest(),
        folder=folder,
        restriction=tables.pack.restriction,
        table=top,
    )
    _check_references(manifest)
    return manifest


def _read_toml(text: bytes, described_as: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode("utf-8"))
    except RecursionError as error:
        raise PackInvalid(f"{described_as} is nested too deeply") from error
    except ValueError as error:  # also bytes that are no UTF-8, and numbers of more digits than Python takes
        raise PackInvalid(f"{described_as} is not readable TOML: {error}") from error


def _each(
    kind: type[_Named], tables: Mapping[str, Mapping[str, Any]], described_as: str, group: str, key_field: str
) -> dict[str, _Named]:
    """The tables [group.KEY] by their keys, which are also the field `key_field`."""
    return {
        key: read_table(kind, {**table, key_field: key}, f"{described_as}: [{group}.{key}]")
        for key, table in tables.items()
    }


def _with_parameters(table: Mapping[str, Any], *fields: str) -> dict[str, Any]:
    """A table with all but these fields moved into `parameters`."""
    own = {key: table[key] for key in fields if key in table}
    return {**own, "parameters": {key: value for key, value in table.items() if key not in fields}}


def _calibration(table: _CalibrationTable | None, described_as: str) -> Calibration | None:
    if table is None:
        return None
    try:
        curve = table.scores, table.log10_rates, table.equal_error_rate
        return Calibration(*curve, table.measured_log10_rate, table.within)
    except ValueError as error:
        raise PackInvalid(f"{described_as}: [calibration] {error}") from error


def _check_references(manifest: Manifest) -> None:
    """PackInvalid for names of distributions, files and roles that the manifest does not have."""
    for file in manifest.files.values():
        for id in file.source.distributions if file.source else ():
            known = manifest.distributions.get(id)
            if known is None or not ((file.source and file.source.path) or known.index == "web"):
                raise PackInvalid(
                    f"{manifest.described_as}: [files.{file.name}.source] names the distribution "
                    f"{id!r} and needs the path in it; known: {', '.join(manifest.distributions)}"
                )
    used = {f"roles.{role.name}": role.file for role in manifest.roles.values()}
    used |= {f"scoring.files.{key}": name for key, name in manifest.scoring.files.items()}
    for place, name in used.items():
        if name not in manifest.files:
            raise PackInvalid(
                f"{manifest.described_as}: [{place}] names the file {name!r}, which the pack does not have"
            )
    if manifest.roles:
        manifest.detector_input()
        views = manifest.embedder_input().views
        if "mesh" not in manifest.roles and any(view.points == "mesh" for view in views):
            raise PackInvalid(
                f"{manifest.described_as}: [roles.embedder] has `views` by the points of the mesh, and the pack has no "
                'role mesh: write points = "detector"'
            )
