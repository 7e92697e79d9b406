"""Settings from a TOML file, the environment and flags: flags override the environment, which overrides the file.

A setting `port` is `port = 8080` in the file, LIKENESS_PORT in the environment and `--port` as a flag; `region` of the
`[s3]` section is LIKENESS_S3_REGION and `--s3-region`. Lists are separated by commas outside the file.
"""

import argparse
import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from likeness.errors import SettingsError
from likeness.server.settings import S3Settings, Settings
from likeness.server.validation import check
from likeness.sources.store import StoreSettings
from likeness.system.bounded_file import read_at_most

ENVIRONMENT_PREFIX = "LIKENESS_"
#: Variables with that prefix that are not settings of the server.
OTHER_VARIABLES = frozenset({"LIKENESS_CONFIG", "LIKENESS_DATA", "LIKENESS_HOME", "LIKENESS_OFFLINE"})
HIDDEN = "********"
_MAX_FILE_BYTES = 1024 * 1024
#: The least ratio of difflib for a suggestion: two letters of eight may be swapped or missing.
_LEAST_LIKENESS = 0.75


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its dotted name, the type of its value, its default and its description."""

    name: str
    type: Any
    default: Any
    help: str
    secret: bool
    file_only: bool

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return ENVIRONMENT_PREFIX + self.name.upper().replace(".", "_")

    @property
    def flag(self) -> str:
        """Its name on the command line, where it `is_flag`."""
        return "--" + self.name.replace(".", "-").replace("_", "-")

    @property
    def is_flag(self) -> bool:
        """Whether it may be on the command line, which every user of the machine can read."""
        return not (self.file_only or self.secret)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings in effect, and for each that is not a default, by name, where it was set."""

    settings: Settings
    origins: Mapping[str, str]


def _settings_of(kind: type, prefix: str = "") -> Iterator[Setting]:
    types = get_type_hints(kind, include_extras=True)
    each: Field[Any]
    for each in fields(kind):
        if each.name != "s3":
            default = each.default if each.default_factory is MISSING else each.default_factory()
            meta = each.metadata
            yield Setting(
                prefix + each.name, types[each.name], default, meta["help"], meta["secret"], meta["file_only"]
            )


#: Every setting by its dotted name.
SETTINGS: Mapping[str, Setting] = {
    setting.name: setting for setting in (*_settings_of(Settings), *_settings_of(S3Settings, "s3."))
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds `--config` to `parser`, and a flag for every setting that may be one."""
    parser.add_argument("--config", metavar="FILE", help="TOML file with settings (LIKENESS_CONFIG)")
    for setting in SETTINGS.values():
        if not setting.is_flag:
            continue
        text = f"{setting.help} [{_shown(setting, setting.default)}]".replace("%", "%%")
        common: dict[str, Any] = {"dest": setting.name, "default": None, "help": text}
        if setting.type in (bool, bool | None):
            parser.add_argument(setting.flag, action=argparse.BooleanOptionalAction, **common)
        else:
            parser.add_argument(setting.flag, metavar=_metavar(setting), **common)


def _metavar(setting: Setting) -> str:
    choices = [repr(value) for value in _choices(setting.type)]
    return "|".join(choices).replace("'", "") or setting.name.rpartition("_")[2].rpartition(".")[2].upper()


def _choices(kind: Any) -> Iterator[str]:
    for argument in getattr(kind, "__args__", ()):
        if isinstance(argument, str):
            yield argument
        else:
            yield from _choices(argument)


def configure(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Configuration:
    """The settings in effect. `flags` are those of `add_flags` by setting name, None where not given, and `config`.

    Raises SettingsError, with the setting's name and where it was set, for one that is unknown, of the wrong type or
    out of range, and for those that do not go together.
    """
    configuration = read(flags, environment)
    check(configuration.settings)
    return configuration


def read(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Configuration:
    """As `configure`, but settings that do not go together are not refused, and no file that they name is read."""
    path = flags.get("config") or environment.get("LIKENESS_CONFIG")
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, value, origin in (
        *(_from_file(Path(path)) if path else ()),
        *_from_environment(environment),
        *(
            (name, value, SETTINGS[name].flag)
            for name, value in flags.items()
            if name in SETTINGS and value is not None
        ),
    ):
        setting = SETTINGS[name]
        values[name] = _converted(setting, value, origin, is_text=not origin.startswith("file "))
        origins[name] = origin
    return Configuration(_assembled(values), origins)


def _assembled(values: Mapping[str, Any]) -> Settings:
    s3 = {name.removeprefix("s3."): value for name, value in values.items() if name.startswith("s3.")}
    top = {name: value for name, value in values.items() if not name.startswith("s3.")}
    return replace(Settings(**top), s3=S3Settings(**s3))


def _from_file(path: Path) -> Iterator[tuple[str, Any, str]]:
    try:
        content = read_at_most(path, _MAX_FILE_BYTES)  # it may be a shell's pipe
        if len(content) > _MAX_FILE_BYTES:
            raise SettingsError(f"the settings file {path} has more than {_MAX_FILE_BYTES:,} bytes")
        document = tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise SettingsError(f"the settings file {path} is nested too deeply") from error
    except ValueError as error:  # also integers with more digits than Python converts
        raise SettingsError(f"the settings file {path} is not TOML: {error}") from error
    section = document.pop("s3", {})
    if not isinstance(section, dict):
        raise SettingsError(f"s3 in {path} must be a section: [s3]")
    origin = f"file {path}"
    for name, value in (*document.items(), *((f"s3.{name}", value) for name, value in section.items())):
        if name not in SETTINGS:
            raise _unknown(name, f"in {path}", SETTINGS)
        yield name, value, origin


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    known = {setting.variable: name for name, setting in SETTINGS.items() if not setting.file_only}
    for variable, value in environment.items():
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in OTHER_VARIABLES:
            if variable not in known:
                raise _unknown(variable, "in the environment", (*known, *OTHER_VARIABLES))
            yield known[variable], value, variable


def _converted(setting: Setting, value: Any, origin: str, *, is_text: bool) -> Any:
    """`value` as the setting's type. Raises SettingsError."""
    if isinstance(value, str):
        if "\0" in value:
            raise SettingsError(f"setting {setting.name} (from {origin}): it holds a NUL character")
        if value == "" and setting.default is None:
            return None
        if is_text and "tuple[" in str(setting.type):
            value = [part.strip() for part in value.split(",") if part.strip()]
    if setting.name == "s3.buckets":
        return _buckets(value, origin)
    try:
        return msgspec.convert(value, setting.type, strict=not is_text, dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        given = f" {value!r}" if not setting.secret and not isinstance(value, dict) else ""
        choices = tuple(_choices(setting.type))
        expected = f"it must be one of {', '.join(choices)}" if choices else str(error)
        hint = _suggestion(str(value), choices)
        raise SettingsError(f"setting {setting.name}{given} (from {origin}): {expected}{hint}") from error


def _decode_path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str) and "\0" not in value:
        return Path(os.path.expanduser(value))  # leaves `~` for a user without a home directory
    raise msgspec.ValidationError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _buckets(value: Any, origin: str) -> tuple[Mapping[str, Any], ...]:
    """The entries of [[s3.buckets]], each with checked values."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise SettingsError(f"setting s3.buckets (from {origin}): each entry must be a section: [[s3.buckets]]")
    return tuple(_bucket(entry, number, origin) for number, entry in enumerate(value, 1))


def _bucket(entry: Mapping[str, Any], number: int, origin: str) -> Mapping[str, Any]:
    where = f"[[s3.buckets]] number {number} (from {origin})"
    types = get_type_hints(StoreSettings, include_extras=True)
    if "pattern" not in entry:
        raise SettingsError(f"{where} needs a pattern")
    checked = {}
    for name, value in entry.items():
        if name not in types:
            raise _unknown(name, f"in {where}", types)
        try:
            checked[name] = msgspec.convert(value, types[name], dec_hook=_decode_path)
        except msgspec.ValidationError as error:
            raise SettingsError(f"{name} of {where}: {error}") from error
    return checked


def refuse_unknown_flags(arguments: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """Raises SettingsError for the first of `arguments`, those that argparse does not know, if there is one."""
    if arguments:
        given = arguments[0].partition("=")[0]
        for setting in SETTINGS.values():
            if setting.secret and setting.flag == given:
                where = f"set {setting.variable} or {setting.name} in the file"
                raise SettingsError(f"{given} would show a secret to every user of the machine; {where}")
        flags = [option for action in parser._actions for option in action.option_strings]
        raise _unknown(given, "on the command line", flags)


def _unknown(name: str, where: str, known: Iterable[str]) -> SettingsError:
    return SettingsError(f"unknown setting {name} {where}{_suggestion(name, known)}")


def _suggestion(name: str, known: Iterable[str]) -> str:
    """A hint at the closest known name; the prefix that all names share does not count."""
    by_distinct_part = {_without_prefix(each): each for each in known}
    close = difflib.get_close_matches(_without_prefix(name), list(by_distinct_part), n=1, cutoff=_LEAST_LIKENESS)
    return f"; did you mean {by_distinct_part[close[0]]}?" if close else ""


def _without_prefix(name: str) -> str:
    return name.removeprefix("--").removeprefix(ENVIRONMENT_PREFIX)


def in_force(configuration: Configuration) -> Iterator[tuple[str, str, str]]:
    """(name, value, origin) of every setting in the order of the table, with secrets hidden."""
    settings = configuration.settings
    for setting in SETTINGS.values():
        holder, _, name = setting.name.rpartition(".")
        value = getattr(settings.s3 if holder else settings, name)
        yield setting.name, _shown(setting, value), configuration.origins.get(setting.name, "default")


def _shown(setting: Setting, value: Any) -> str:
    if value is None:
        return "(unset)"
    if setting.secret:
        return HIDDEN
    if isinstance(value, bool):
        return str(value).lower()
    if setting.name == "s3.buckets":
        return "; ".join(_shown_bucket(entry) for entry in value) or "(none)"
    if isinstance(value, tuple):
        return ", ".join(value) or "(none)"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {each:g}" for key, each in value.items()) or "(none)"
    return str(value)


def _shown_bucket(entry: Mapping[str, Any]) -> str:
    secrets = {each.name for each in fields(StoreSettings) if each.metadata.get("secret")}
    return ", ".join(f"{name} = {HIDDEN if name in secrets else value}" for name, value in entry.items())
