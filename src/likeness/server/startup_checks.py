"""Checks of logs, addresses and packs before the server starts, for `serve` and `serve --check`."""

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from likeness.aws.keys import load_keys, unheld_packs
from likeness.errors import PackError
from likeness.server import activation
from likeness.server.configuration import SETTINGS, Configuration
from likeness.server.listening import check_address
from likeness.server.loader import Load, ready_engine
from likeness.server.log_files import check_log_file
from likeness.server.settings import Settings
from likeness.server.workers import thread_shares
from likeness.system.processors import thread_budget


def check_startup(settings: Settings) -> None:
    """Raises SettingsError for logs that cannot be written and for an address that cannot be bound.

    An address in use is accepted: `serve` reports it when it listens.
    """
    for path in (settings.access_log, settings.audit_log):
        if path is not None:
            check_log_file(path)
    if not activation.has_socket():
        check_address(settings)


def exposed_secrets(configuration: Configuration) -> Iterator[str]:
    """A warning for the TLS key and for a settings file with a secret, if every user of the machine may read it."""
    settings, origins = configuration.settings, configuration.origins
    names = [name for name, setting in SETTINGS.items() if setting.secret]
    if any(SETTINGS[f"s3.{member}"].secret for entry in settings.s3.buckets for member in entry if member != "pattern"):
        names.append("s3.buckets")
    sources = [origins[name].removeprefix("file ") for name in names if origins.get(name, "").startswith("file ")]
    for path in dict.fromkeys([*filter(None, [settings.tls_key]), *map(Path, sources)]):
        mode = stat.S_IMODE(path.stat().st_mode)
        if os.name == "posix" and mode & stat.S_IROTH:
            yield f"every user of the machine may read the secret in {path} (mode {mode:o}); chmod o= {path} closes it"


def policy_warning(settings: Settings) -> str:
    """The warning that the server logs of policies which name packs that it does not hold; empty if there are none."""
    return unheld_packs(load_keys(settings.keys).values(), settings.chosen_packs) if settings.signed else ""


def check_packs(settings: Settings, load: Load) -> None:
    """Raises LikenessError for packs with which no worker can start: `load` makes the engine, which compares once.

    Of a pack that is still to be installed, only what is known without its files is checked.
    """
    from likeness.packs import is_available, store  # import numpy, which starts threads

    names = dict.fromkeys((settings.pack, *settings.packs, *filter(None, [settings.shadow])))
    catalogue = store.catalogue()
    missing = [name for name in names if name in catalogue and not is_available(name)]
    for name in missing:
        _check_installable(name, settings)
    here = [name for name in names if name not in missing]
    if not here:
        return
    loaded = replace(settings, pack=here[0], packs=tuple(here[1:]), shadow=None)
    threads = thread_shares(settings.threads or thread_budget(), settings.workers)[0]
    try:
        ready_engine(lambda: load(loaded, threads)).close()
    except MemoryError as error:
        raise PackError("there is too little memory for the engine; free some, or serve fewer packs") from error


def _check_installable(name: str, settings: Settings) -> None:
    """Raises PackError for a pack of the catalogue that a worker could not install, or not use uncalibrated."""
    from likeness.calibrated import calibration_of
    from likeness.packs import store
    from likeness.packs.originals import Originals
    from likeness.packs.progress import LoggedProgress
    from likeness.packs.published import check_asked_for

    entry = store.known(name)
    calibration_of(entry, allow_none=settings.uncalibrated)
    check_asked_for(name, {distribution.index for distribution in entry.distributions.values()})
    # An installation takes files that other packs and versions have from them.
    others = store.installed_versions()
    wanted = [file for file in entry.files.values() if all(store.damage(folder, file) for folder in others)]
    Originals(entry, None, LoggedProgress(), may_fetch=not store.offline()).check_obtainable(wanted)
