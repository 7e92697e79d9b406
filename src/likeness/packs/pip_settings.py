"""Where the user's pip looks for packages: indexes, folders, proxy, certificates, time limits.

Read from `python -m pip config list`, so that every place pip itself reads (global, user and virtual environment files,
PIP_CONFIG_FILE, PIP_* variables) counts with pip's own precedence. Without pip (some environments have none) the PIP_*
variables alone count. Passwords may stand in URLs or in netrc; the system keyring is not asked.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from likeness.errors import PackDownloadFailed

DEFAULT_INDEX = "https://pypi.org/simple"
_PIP_ANSWERS_WITHIN_S = 60.0
#: pip's precedence, lowest first, for what `pip download` would use.
_SECTIONS = ("global", "download", ":env:")


@dataclass(frozen=True, slots=True)
class PipSettings:
    """What of pip's configuration matters for fetching a file."""

    indexes: tuple[str, ...] = (DEFAULT_INDEX,)
    find_links: tuple[str, ...] = ()
    proxy: str = ""
    ca_file: str = ""
    client_certificate: str = ""
    trusted_hosts: tuple[str, ...] = ()
    timeout_s: float = 15.0
    retries: int = 5


def read_pip_settings(environment: Mapping[str, str] = os.environ) -> PipSettings:
    """The user's settings; PackDownloadFailed when a number in them is none."""
    values: dict[str, str] = {}
    listed = _pip_config_list(environment)
    sections = _parse(listed) if listed is not None else {":env:": _from_environment(environment)}
    for section in _SECTIONS:
        values.update(sections.get(section, {}))
    return _settings(values, environment)


def _settings(values: Mapping[str, str], environment: Mapping[str, str]) -> PipSettings:
    without_index = values.get("no-index", "").lower() in ("1", "true", "yes", "on", "y", "t")
    indexes = [values.get("index-url") or DEFAULT_INDEX, *values.get("extra-index-url", "").split()]
    return PipSettings(
        indexes=() if without_index else tuple(dict.fromkeys(url.rstrip("/") for url in indexes)),
        find_links=tuple(values.get("find-links", "").split()),
        proxy=values.get("proxy", ""),
        ca_file=values.get("cert", "")
        or environment.get("REQUESTS_CA_BUNDLE", "")
        or environment.get("CURL_CA_BUNDLE", ""),
        client_certificate=values.get("client-cert", ""),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        timeout_s=_number(values, ("timeout", "default-timeout"), 15.0, lowest=1.0),
        retries=int(_number(values, ("retries",), 5, lowest=0)),
    )


def _number(values: Mapping[str, str], keys: tuple[str, ...], default: float, *, lowest: float) -> float:
    for key in keys:
        if values.get(key):
            try:
                return max(float(values[key]), lowest)
            except ValueError:
                message = f"pip's setting {key} is {values[key]!r}, which is not a number; see `pip config list`"
                raise PackDownloadFailed(message) from None
    return default


def _pip_config_list(environment: Mapping[str, str]) -> str | None:
    """What `pip config list` prints, None when there is no pip to ask."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    quiet = {**environment, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUTF8": "1"}
    try:
        # Not in the working folder: a file named pip.py there must not be run.
        answer = subprocess.run(
            command,
            env=quiet,
            cwd=Path(sys.executable).parent,
            capture_output=True,
            timeout=_PIP_ANSWERS_WITHIN_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.decode("utf-8", "replace")


def _parse(text: str) -> dict[str, dict[str, str]]:
    """`section.key='value'` lines by section; values are Python literals."""
    sections: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        name, equals, literal = line.partition("=")
        section, dot, key = name.partition(".")
        if not (equals and dot):
            continue
        try:
            value = ast.literal_eval(literal)
        except (ValueError, SyntaxError):
            continue
        sections.setdefault(section, {})[key.strip()] = str(value)
    return sections


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name[4:].lower().replace("_", "-"): value
        for name, value in environment.items()
        if name.startswith("PIP_") and value
    }
