"""`likeness serve`: answers CompareFaces requests over HTTP."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from likeness.cli.exit_codes import USAGE_ERROR
from likeness.cli.streams import say
from likeness.cli.tool_arguments import ToolParser
from likeness.errors import LikenessError, SettingsError
from likeness.server import activation, logs
from likeness.server.configuration import Configuration, add_flags, configure, in_force, read, refuse_unknown_flags
from likeness.server.exit_codes import CANNOT_START
from likeness.server.listening import folder_lock, listen, url
from likeness.server.loader import Load, load_comparer
from likeness.server.probe import probe
from likeness.server.settings import Settings
from likeness.server.startup_checks import check_packs, check_startup, exposed_secrets, policy_warning
from likeness.server.workers import leave_on_signals, run


def main(arguments: Sequence[str], load: Load = load_comparer) -> int:
    """Serves until SIGTERM or SIGINT.

    Returns 0, 252 for invalid settings, 78 if the engine cannot be loaded, or 1 with `--probe` if the server is not
    ready. `load` creates the engine.
    """
    parser = _parser()
    try:
        flags, unknown = parser.parse_known_args(list(arguments))
        refuse_unknown_flags(unknown, parser)
        if flags.probe:
            return _probe(read(vars(flags), os.environ).settings)
        configuration = configure(vars(flags), os.environ)
        check_startup(configuration.settings)
        for warning in exposed_secrets(configuration):
            say(f"likeness serve: warning: {warning}")
        if flags.check:
            return _check(configuration, load)
        return _serve(configuration.settings.with_access_decided, load)
    except SettingsError as error:
        say(f"likeness serve: {error}")
        return USAGE_ERROR
    except SystemExit as leaving:  # 0 after --help, 252 for a flag without its value
        return USAGE_ERROR if leaving.code else 0


def _probe(settings: Settings) -> int:
    reason = probe(settings)
    if reason:
        say(f"likeness serve: {reason}")
    return int(bool(reason))


def _check(configuration: Configuration, load: Load) -> int:
    """Prints the settings in effect, if a server can start with them; returns the exit code that it would have."""
    decoding = _decoding(configuration.settings)
    try:
        check_packs(configuration.settings, load)
    except LikenessError as error:  # SettingsError too: for a device that is missing, or packs too large for a limit
        say(f"likeness serve: the engine cannot be loaded: {error}")
        return CANNOT_START
    warning = policy_warning(configuration.settings)
    if warning:
        say(f"likeness serve: warning: {warning}")
    _print_in_force(configuration, decoding)
    return 0


def _decoding(settings: Settings) -> str:
    """Where and with which protection photos would be decoded; SettingsError where that cannot be."""
    from likeness.server.isolated import decoding_in_force  # starts a decoder, and imports what that takes

    return decoding_in_force(settings)


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(
        prog="likeness serve",
        usage="likeness serve [--config FILE] [--check | --probe] [--SETTING VALUE ...]",
        description="Answers CompareFaces requests of unmodified AWS clients. Each option is also a setting of the "
        "file, and LIKENESS_... in the environment; options override the environment, which overrides the file.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--check", action="store_true", help="load the packs, print the settings and their origin, and exit"
    )
    parser.add_argument(
        "--probe", action="store_true", help="exit with 0 if the server with these settings is ready, else with 1"
    )
    add_flags(parser)
    return parser


def _serve(settings: Settings, load: Load) -> int:
    is_passed = activation.has_socket()
    listener = activation.passed_socket(settings.unix_socket) if is_passed else listen(settings)
    with _removed_at_the_end(None if is_passed else settings.unix_socket):
        try:
            logs.set_up()
            leave_on_signals()
            with suppress(OSError):  # a closed pipe or a full disk does not prevent serving
                print(_greeting(settings, url(settings, listener)), file=sys.stderr, flush=True)
            return run(settings, listener, load)
        finally:
            listener.close()


@contextmanager
def _removed_at_the_end(socket_file: Path | None) -> Iterator[None]:
    """Removes the socket file after the block, unless another server has replaced it by its own."""
    if socket_file is None:
        yield
        return
    ours = _identity(socket_file)
    try:
        yield
    finally:
        with suppress(OSError), folder_lock(socket_file.parent):
            if ours is not None and _identity(socket_file) == ours:
                socket_file.unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, ...] | None:
    """Distinguishes a file from a later one at the same path, even if the inode is reused."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_mtime_ns)


def _greeting(settings: Settings, address: str) -> str:
    """The address of the server, and a command to try."""
    access = f"signatures checked with {settings.keys}" if settings.signed else "no authentication"
    lines = [f"Likeness listens on {address} ({access}). Try:"]
    if settings.unix_socket is not None:
        lines.append(f"  curl --unix-socket {settings.unix_socket} http://localhost/readyz")
    else:
        sign = "" if settings.signed else " --no-sign-request"
        trust = " --no-verify-ssl" if settings.tls_certificate else ""
        lines.append(
            f"  aws rekognition compare-faces --endpoint-url {address} --region us-east-1{sign}{trust} "
            "--source-image-bytes fileb://a.jpg --target-image-bytes fileb://b.jpg"
        )
    lines.append(_console_line(settings, address))
    return "\n".join(lines)


def _console_line(settings: Settings, address: str) -> str:
    if not settings.serves_console:
        return "The console is off (console = true turns it on)."
    if settings.unix_socket is not None:
        return "The console is on, at GET / (console = false turns it off)."
    return f"Console for your browser: {address}/ (console = false turns it off)"


def _print_in_force(configuration: Configuration, decoding: str) -> None:
    """Prints each setting's value and where it was set, and what follows from them and the machine."""
    rows = [(name, value, origin) for name, value, origin in in_force(configuration)]
    name_width = max(len(name) for name, _, _ in rows)
    value_width = min(40, max(len(value) for _, value, _ in rows))
    for name, value, origin in rows:
        print(f"{name:<{name_width}}  {value:<{value_width}}  {origin}")
    settings = configuration.settings
    signed = f"on, {settings.keys}" if settings.signed else "off, everybody who reaches the address may compare faces"
    print(f"\nauthentication: {signed}\ndecoding: {decoding}")
