"""Where the user's npm looks for packages: registries, one for a scope where there is such, and their tokens.

Read from the variables npm_config_* and from the user's npmrc, as npm itself reads them (docs.npmjs.com, "npmrc" and
"config"); npm need not be installed. Proxy, certificates and time limits are those of pip's configuration and of the
environment.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

DEFAULT_REGISTRY = "https://registry.npmjs.org"
_PREFIX = "npm_config_"
_VARIABLE = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True, slots=True)
class NpmSettings:
    """What of npm's configuration matters for fetching a file.

    `scopes` maps "@scope" to its registry, `authorizations` the beginning of an address without its scheme
    ("//host/path/") to the value of the header Authorization.
    """

    registry: str = DEFAULT_REGISTRY
    scopes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    authorizations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def registry_of(self, package: str) -> str:
        """The address, without a slash at its end, of the registry of `package` ("name" or "@scope/name")."""
        return self.scopes.get(package.partition("/")[0], self.registry)

    def authorization_for(self, url: str) -> str:
        """The header Authorization for `url`, "" where nothing is configured for its host and path."""
        parts = urlsplit(url)
        address = f"//{parts.netloc}{parts.path}"
        fitting = [begin for begin in self.authorizations if address.startswith(begin)]
        return self.authorizations[max(fitting, key=len)] if fitting else ""


def read_npm_settings(environment: Mapping[str, str] = os.environ) -> NpmSettings:
    """The user's settings; a file that cannot be read counts as empty."""
    variables = {
        name.lower().removeprefix(_PREFIX): value
        for name, value in environment.items()
        if name.lower().startswith(_PREFIX) and value
    }
    own = variables.get("userconfig")
    values = {
        **_npmrc(Path(variables["globalconfig"]) if "globalconfig" in variables else None, environment),
        **_npmrc(Path(os.path.expanduser(own)) if own else _user_file(), environment),
        **variables,
    }
    return NpmSettings(
        registry=_address(values.get("registry", DEFAULT_REGISTRY)),
        scopes=MappingProxyType(
            {
                key.removesuffix(":registry"): _address(value)
                for key, value in values.items()
                if key.startswith("@") and key.endswith(":registry")
            }
        ),
        authorizations=MappingProxyType(_authorizations(values)),
    )


def _user_file() -> Path | None:
    try:
        return Path.home() / ".npmrc"
    except RuntimeError:  # a user without a home
        return None


def _npmrc(path: Path | None, environment: Mapping[str, str]) -> dict[str, str]:
    """The `key = value` lines of an npmrc file, its ${VARIABLES} filled in."""
    try:
        text = path.read_text("utf-8", "replace") if path else ""
    except OSError:
        return {}
    values = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not key.lstrip().startswith(("#", ";")):
            plain = value.strip().strip("\"'")
            values[key.strip()] = _VARIABLE.sub(lambda found: environment.get(found[1], found[0]), plain)
    return values


def _authorizations(values: Mapping[str, str]) -> dict[str, str]:
    kinds = {":_authToken": "Bearer", ":_auth": "Basic"}
    return {
        f"{key.removesuffix(ending).rstrip('/')}/": f"{scheme} {value}"
        for key, value in values.items()
        for ending, scheme in kinds.items()
        if key.startswith("//") and key.endswith(ending)
    }


def _address(registry: str) -> str:
    return registry.strip().rstrip("/")
