"""Files of packs at their publishers' own addresses, and licences that restrict their use."""

from collections.abc import Mapping

from likeness.errors import LicenceNotAccepted, PackNotInstalled

#: What helps where files of an index, or of a publisher ("web"), cannot be fetched.
MIRRORS: Mapping[str, str] = {
    "npm": "name a mirror (`npm config set registry URL`), ",
    "python": "name a mirror (`pip config set global.index-url URL`), ",
    "web": "",
}


def check_asked_for(name: str, indexes: set[str]) -> None:
    """PackNotInstalled for a pack that comes from its publishers: nothing is fetched there that was not asked for."""
    if "web" in indexes:
        raise PackNotInstalled(f"the pack {name} is fetched from its publishers by: likeness packs install {name}")


def check_accepted(name: str, restriction: str, accepted: bool, command: str = "") -> None:
    """LicenceNotAccepted if the licence of a pack restricts its use and that has not been accepted.

    `command` is the one that was given, by default that which installs the pack.
    """
    if restriction and not accepted:
        again = command or f"likeness packs install {name}"
        raise LicenceNotAccepted(f"{name} is restricted: {restriction}. To accept that: {again} --accept-license")
