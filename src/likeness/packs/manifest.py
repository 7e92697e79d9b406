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
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

from likeness.claims import LEAST_BEYOND, claim_of_count
from likeness.errors import PackInvalid
from likeness.packs.embedder_input import EmbedderInput, read_embedder_input
from likeness.packs.tables import Table
from likeness.vision.calibration import Calibration

MANIFEST_NAME = "manifest.toml"
ROLES = ("detector", "embedder", "mesh", "expression")
REQUIRED_ROLES = ("detector", "embedder")
DETECTOR_FAMILIES = ("yunet", "scrfd", "centerface")

#: The package indexes that distributions come from, or "web" for the publisher's own address.
Index = Literal["python", "npm", "web"]

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
_DISTRIBUTION_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,254}\Z")
_PACK_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Distribution:
    """One file of one release of a project on a package index, or at `url`; `id` is its key in the manifest.

    Files of npm have the name that `npm pack` gives them. `size` 0: unknown.
    """

    id: str
    project: str
    version: str
    file: str
    sha256: str
    size: int
    index: Index = "python"
    url: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """The original of a pack's file.

    Exactly one of `distribution` (an id; `path` is inside it), `file` (provided by the user in a folder) and `bundled`
    (a file that comes with Likeness, next to the catalogue) is set. `sha256` is that of the original; `converter`
    names the conversion to ONNX, empty for none. Without `path` the distribution is the file itself.
    """

    sha256: str
    distribution: str = ""
    path: str = ""
    file: str = ""
    bundled: str = ""
    converter: str = ""

    @property
    def description(self) -> str:
        """The origin of the file, for a table."""
        if self.distribution:
            return f"{self.distribution}: {self.path}"
        return self.file or f"with Likeness: {self.bundled}"


@dataclass(frozen=True, slots=True)
class PackFile:
    """A file of a pack; `size` 0: unknown."""

    name: str
    sha256: str
    size: int
    licence: str
    licence_url: str
    terms: str
    origin: str
    source: Source | None


@dataclass(frozen=True, slots=True)
class Role:
    """The role of a file; `parameters` describe its input and output, see the class named by `family`."""

    name: str
    file: str
    family: str
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Scoring:
    """How two vectors become a score: `method` ("cosine" or "normalised"), the data files it needs, and its numbers.

    "normalised" needs the file `cohort`, an array (K, D), and the number `nearest`. See `likeness.vision.scoring`.
    """

    method: str = "cosine"
    files: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Measurement:
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
        return self.errors is None or self.errors >= LEAST_BEYOND

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
    table: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    @property
    def described_as(self) -> str:
        """The pack in an error message: its manifest's path, or its name."""
        return str(self.folder / MANIFEST_NAME) if self.folder else f"the catalogue's pack {self.name!r}"

    def role(self, name: str) -> Role:
        """The role `name`; PackInvalid if the pack does not have it."""
        try:
            return self.roles[name]
        except KeyError:
            raise PackInvalid(f"{self.described_as} has no role {name!r}; it has {', '.join(self.roles)}") from None

    def embedder_input(self) -> EmbedderInput:
        """The embedder's input; PackInvalid if its description is incomplete."""
        return read_embedder_input(Table(self.described_as, "roles.embedder", self.role("embedder").parameters))

    def path(self, file: str) -> Path:
        """The path of a file of an installed pack."""
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
    top = _read(text, described_as)
    whole = Table(described_as, "", top)
    whole.only("pack", "distributions", "files", "roles", "scoring", "calibration", "quality", "accuracy")
    pack = whole.table("pack")
    pack.only("name", "version", "summary", "restriction")
    distributions = {key: _distribution(key, t) for key, t in whole.tables("distributions").items()}
    files = {key: _file(key, t, distributions) for key, t in whole.tables("files").items()}
    manifest = Manifest(
        name=pack.matching("name", _PACK_NAME, "lower-case letters, digits and -"),
        version=pack.text("version"),
        summary=pack.text("summary", ""),
        distributions=MappingProxyType(distributions),
        files=MappingProxyType(files),
        roles=MappingProxyType({key: _role(key, t, files) for key, t in whole.tables("roles").items()}),
        scoring=_scoring(whole.table("scoring"), files) if "scoring" in top else Scoring(),
        calibration=_calibration(whole.table("calibration")) if "calibration" in top else None,
        quality=MappingProxyType({key: t.all_numbers() for key, t in whole.tables("quality").items()}),
        accuracy=tuple(_measurement(t) for t in whole.list_of_tables("accuracy")),
        sha256=hashlib.sha256(text).hexdigest(),
        folder=folder,
        restriction=pack.text("restriction", ""),
        table=top,
    )
    if manifest.roles:
        for role in REQUIRED_ROLES:
            manifest.role(role)
        manifest.embedder_input()
    return manifest


def _read(text: bytes, described_as: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode("utf-8"))
    except RecursionError as error:
        raise PackInvalid(f"{described_as} is nested too deeply") from error
    except ValueError as error:  # also bytes that are no UTF-8, and numbers of more digits than Python takes
        raise PackInvalid(f"{described_as} is not readable TOML: {error}") from error


def _distribution(key: str, t: Table) -> Distribution:
    t.only("project", "version", "file", "sha256", "size", "index", "url")
    index = t.text("index", "python")
    if index not in get_args(Index):
        raise t.wrong(f"index is {index!r}, not {' or '.join(get_args(Index))}")
    if (index == "web") != ("url" in t.values):
        raise t.wrong("has a url if its index is web, and only then")
    return Distribution(
        id=key,
        project=t.text("project"),
        version=t.text("version"),
        file=t.matching("file", _DISTRIBUTION_FILE, "a file name"),
        sha256=t.matching("sha256", _SHA256, "64 hexadecimal digits"),
        size=t.integer("size"),
        index=cast(Index, index),
        url=t.text("url", ""),
    )


def _file(key: str, t: Table, distributions: Mapping[str, Distribution]) -> PackFile:
    t.only("sha256", "size", "licence", "licence_url", "terms", "origin", "source")
    if not _FILE_NAME.match(key):
        raise t.wrong("is not a plain file name")
    return PackFile(
        name=key,
        sha256=t.matching("sha256", _SHA256, "64 hexadecimal digits"),
        size=t.integer("size", 0),
        licence=t.text("licence", ""),
        licence_url=t.text("licence_url", ""),
        terms=t.text("terms", ""),
        origin=t.text("origin", ""),
        source=_source(t.table("source"), distributions) if "source" in t.values else None,
    )


def _source(t: Table, distributions: Mapping[str, Distribution]) -> Source:
    t.only("distribution", "path", "file", "bundled", "sha256", "converter")
    kinds = [kind for kind in ("distribution", "file", "bundled") if kind in t.values]
    if len(kinds) != 1:
        raise t.wrong("needs exactly one of distribution, file, bundled")
    source = Source(
        sha256=t.matching("sha256", _SHA256, "64 hexadecimal digits"),
        distribution=t.text("distribution", ""),
        path=t.text("path", ""),
        file=t.text("file", ""),
        bundled=t.text("bundled", ""),
        converter=t.text("converter", ""),
    )
    known = distributions.get(source.distribution)
    if source.distribution and (known is None or not (source.path or known.index == "web")):
        raise t.wrong(
            f"names the distribution {source.distribution!r} and needs the path in it; "
            f"known: {', '.join(distributions)}"
        )
    return source


def _role(key: str, t: Table, files: Mapping[str, PackFile]) -> Role:
    if key not in ROLES:
        raise t.wrong(f"is not a role; the roles are {', '.join(ROLES)}")
    role = Role(
        name=key,
        file=t.text("file"),
        family=t.text("family"),
        parameters=MappingProxyType({k: v for k, v in t.values.items() if k not in ("file", "family")}),
    )
    if role.file not in files:
        raise t.wrong(f"names the file {role.file!r}, which the pack does not have")
    if key == "detector" and role.family not in DETECTOR_FAMILIES:
        raise t.wrong(f"has the family {role.family!r}; the detectors known are {', '.join(DETECTOR_FAMILIES)}")
    return role


def _scoring(t: Table, files: Mapping[str, PackFile]) -> Scoring:
    named = {key: str(value) for key, value in t.table("files").values.items()} if "files" in t.values else {}
    for file in named.values():
        if file not in files:
            raise t.wrong(f"names the file {file!r}, which the pack does not have")
    rest = {k: v for k, v in t.values.items() if k not in ("method", "files")}
    return Scoring(method=t.text("method"), files=MappingProxyType(named), parameters=MappingProxyType(rest))


def _calibration(t: Table) -> Calibration:
    t.only("scores", "log10_rates", "equal_error_rate", "measured_log10_rate", "measured_on", "command")
    try:
        return Calibration(
            scores=t.numbers("scores"),
            log10_rates=t.numbers("log10_rates"),
            equal_error_rate=t.number("equal_error_rate"),
            measured_log10_rate=t.number("measured_log10_rate", -6.0),
        )
    except ValueError as error:
        raise t.wrong(str(error)) from error


def _measurement(t: Table) -> Measurement:
    t.only("measure", "data", "value", "low", "high", "command", "errors", "pairs")
    return Measurement(
        measure=t.text("measure"),
        data=t.text("data"),
        value=t.number("value"),
        low=t.number("low") if "low" in t.values else None,
        high=t.number("high") if "high" in t.values else None,
        command=t.text("command", ""),
        errors=t.integer("errors") if "errors" in t.values else None,
        pairs=t.integer("pairs") if "pairs" in t.values else None,
    )
