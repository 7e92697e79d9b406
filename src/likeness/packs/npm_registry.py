"""The npm registries that the user has configured, optionally by scope, and their tokens.

They are read from the variables npm_config_* and from npmrc files as by npm itself (docs.npmjs.com, "npmrc" and
"config"), which need not be installed.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from likeness.packs.download import Access
from likeness.packs.manifest import Distribution

DEFAULT_REGISTRY = "https://registry.npmjs.org"
_PREFIX = "npm_config_"
_VARIABLE = re.compile(r"\$\{([^}]+)\}")


def npm_address(distribution: Distribution, environment: Mapping[str, str] = os.environ) -> tuple[str, Access]:
    """The URL of a package's tarball on the registry of its scope, and how to reach it."""
    settings = _settings(environment)
    scope, _, name = distribution.project.rpartition("/")
    registry = settings.get(f"{scope}:registry") or settings.get("registry") or DEFAULT_REGISTRY
    url = f"{registry.strip().rstrip('/')}/{distribution.project}/-/{name}-{distribution.version}.tgz"
    proxy = settings.get("https-proxy") or settings.get("proxy") or ""
    return url, Access("" if proxy == "null" else proxy, settings.get("cafile", ""), _authorization(url, settings))


def _authorization(url: str, settings: Mapping[str, str]) -> str:
    """The Authorization header for the longest configured prefix ("//host/path/:_authToken") of `url`."""
    address = url.partition(":")[2]
    found = {
        f"{key.removesuffix(ending).rstrip('/')}/": f"{scheme} {value}"
        for key, value in settings.items()
        for ending, scheme in ((":_authToken", "Bearer"), (":_auth", "Basic"))
        if key.startswith("//") and key.endswith(ending)
    }
    return max(((len(begin), header) for begin, header in found.items() if address.startswith(begin)), default=(0, ""))[
        1
    ]


def _settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The user's settings; variables override files, and unreadable files are ignored."""
    variables = {
        name.lower().removeprefix(_PREFIX).replace("_", "-"): value
        for name, value in environment.items()
        if name.lower().startswith(_PREFIX) and value
    }
    user = variables.get("userconfig") or os.path.join(os.path.expanduser("~"), ".npmrc")
    files = [path for path in (variables.get("globalconfig"), user) if path]
    return {key: value for path in files for key, value in _npmrc(Path(path), environment)} | variables


def _npmrc(path: Path, environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """The `key = value` lines of an npmrc file with its ${VARIABLES} replaced."""
    try:
        lines = Path(os.path.expanduser(path)).read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    pairs = [line.partition("=") for line in lines if not line.lstrip().startswith(("#", ";"))]
    plain = [(key.strip(), value.strip().strip("\"'")) for key, equals, value in pairs if equals]
    return [(key, _VARIABLE.sub(lambda found: environment.get(found[1], found[0]), value)) for key, value in plain]
