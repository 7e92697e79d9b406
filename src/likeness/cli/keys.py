"""`likeness keys`: create, list and revoke the access keys of a server."""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from likeness.aws import keys
from likeness.cli.exit_codes import OTHER_ERROR
from likeness.cli.streams import forget_output, output_was_closed, say
from likeness.cli.tool_arguments import ToolParser
from likeness.errors import SettingsError
from likeness.system.bounded_file import read_at_most

_MAX_POLICY_CHARACTERS = 1024 * 1024


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `likeness keys ARGV`; the exit code is 0, 252 for invalid arguments, 255 for other errors."""
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    try:
        text: str | None = arguments.run(arguments)
    except SettingsError as error:
        say(f"likeness keys: {error}")
        return OTHER_ERROR
    except OSError as error:
        say(f"likeness keys: {arguments.keys}: {error.strerror}")
        return OTHER_ERROR
    if text:  # printed here: an OSError of the output is not one of the key file
        print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(
        prog="likeness keys",
        description="Access keys of a Likeness server. A running server applies changes at the next request.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="create | list | session | revoke")
    create = _command(commands, "create", _create, "make a key and print it once, ready for ~/.aws/credentials")
    create.add_argument(
        "--name", required=True, metavar="USER", help="the user of the key, as named in policies and logs"
    )
    create.add_argument(
        "--account", metavar="ID", help="12 digits (default: that of the existing keys, else 000000000000)"
    )
    create.add_argument(
        "--expires", type=_time, metavar="TIME", help="when the key expires: 2030-01-31, or 30d, 12h, 15m from now"
    )
    create.add_argument(
        "--policy", metavar="FILE", help="an IAM policy (default: CompareFaces on photos in the request)"
    )
    show = _command(commands, "list", _list, "show the keys, without their secrets")
    show.add_argument("--json", action="store_true", help="for programs")
    session = _command(commands, "session", _session, "make temporary credentials from a key")
    session.add_argument("id", metavar="KEY", help="the access key that they belong to")
    session.add_argument(
        "--duration", type=_duration, default=keys.SESSION_DURATION, metavar="TIME", help="1h; at most 36h"
    )
    session.add_argument("--policy", metavar="FILE", help="an IAM policy that restricts that of the key")
    revoke = _command(commands, "revoke", _revoke, "end a key and its temporary credentials")
    revoke.add_argument("id", metavar="KEY")
    revoke.add_argument("--delete", action="store_true", help="also delete it from the file")
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(run=run)
    parser.add_argument(
        "--keys",
        type=Path,
        default=keys.default_path(),
        metavar="FILE",
        help="the key file (LIKENESS_KEYS; %(default)s)",
    )
    return parser


def _create(arguments: argparse.Namespace) -> None:
    _check_output()
    policy = _read_policy(arguments.policy)
    record = keys.create_key(
        arguments.keys, arguments.name, account=arguments.account, policy=policy, expires=arguments.expires
    )
    _print_credentials(arguments.keys, record)
    if policy is None:
        note = "It may compare photos inside requests. To read S3 objects it needs a --policy with s3:GetObject."
        say(note)


def _session(arguments: argparse.Namespace) -> None:
    _check_output()
    policy = _read_policy(arguments.policy)
    record = keys.create_session(arguments.keys, arguments.id, duration=arguments.duration, policy=policy)
    _print_credentials(arguments.keys, record)


def _check_output() -> None:
    if output_was_closed():
        raise SettingsError("standard output is closed: the secret could not be shown, and no key is created")


def _print_credentials(path: Path, record: keys.Record) -> None:
    """Prints the credentials; deletes the key if its secret cannot be printed, as it would be useless."""
    lines = [f"aws_access_key_id = {record.id}", f"aws_secret_access_key = {record.secret}"]
    if record.session_token:
        lines.append(f"aws_session_token = {record.session_token}")
    try:
        print("\n".join(lines), flush=True)
    except OSError as error:
        forget_output()
        keys.revoke_key(path, record.id, delete=True)
        raise SettingsError(f"the key cannot be printed ({error.strerror}), and is not created") from error
    until = f", until {record.expires:%Y-%m-%d %H:%M} UTC" if record.expires else ""
    say(f"For {record.user}{until}. The secret is shown this once.")


def _list(arguments: argparse.Namespace) -> str:
    records = keys.read_records(arguments.keys)
    states = keys.load_keys(arguments.keys)
    rows = [
        {
            "id": record.id,
            "user": record.user,
            "account": record.account,
            "state": _state(states[record.id]),
            "created": _stamp(record.created),
            "expires": _stamp(states[record.id].expires),
            "parent": record.parent or "",
        }
        for record in records
    ]
    if arguments.json:
        return json.dumps(rows, indent=2)
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in (rows[0] if rows else {})}
    table = [{name: name.upper() for name in widths}, *rows] if rows else []
    return "\n".join("  ".join(f"{row[name]:<{width}}" for name, width in widths.items()).rstrip() for row in table)


def _revoke(arguments: argparse.Namespace) -> None:
    keys.revoke_key(arguments.keys, arguments.id, delete=arguments.delete)
    say(f"{arguments.id} is {'deleted' if arguments.delete else 'revoked'}.")


def _state(key: keys.Key) -> str:
    if not key.active:
        return "revoked"
    return "expired" if key.expires and key.expires <= datetime.now(UTC) else "in force"


def _stamp(time: datetime | None) -> str:
    return time.astimezone(UTC).isoformat(timespec="minutes").replace("+00:00", "Z") if time else ""


def _read_policy(path: str | None) -> dict[str, Any] | None:
    """The policy in a file, `-` for standard input."""
    if path is None:
        return None
    try:
        if path == "-":
            if sys.stdin.isatty():
                say("likeness keys: type or paste the policy as JSON, then press Ctrl-D on a line of its own")
            text = sys.stdin.read(_MAX_POLICY_CHARACTERS + 1).removeprefix("\ufeff")
        else:
            text = read_at_most(path, _MAX_POLICY_CHARACTERS).decode("utf-8-sig")
        if len(text) > _MAX_POLICY_CHARACTERS:
            raise SettingsError(
                f"{path}: this has more than {_MAX_POLICY_CHARACTERS:,} characters, too many for a policy"
            )
        policy = msgspec.json.decode(text)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise SettingsError(f"{path}: this is not JSON: {error}") from error
    except OSError as error:
        raise SettingsError(f"{path}: the policy cannot be read: {error.strerror}") from error
    if not isinstance(policy, dict):
        raise SettingsError(f"{path}: a policy is a JSON object")
    return policy


def _duration(text: str) -> timedelta:
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86400}.get(text[-1:], 0)
    if not unit or not text[:-1].isascii() or not text[:-1].isdigit() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like 30d, 12h, 15m or 900s")
    return timedelta(seconds=int(text[:-1]) * unit)


def _time(text: str) -> datetime:
    """A time in ISO 8601 (UTC without a zone), or a duration from now, in UTC."""
    now = datetime.now(UTC).replace(microsecond=0)
    try:
        time = _instant(text) or now + _duration(text)
    except OverflowError as error:
        raise argparse.ArgumentTypeError(f"{text} is before year 1 or after 9999 in UTC") from error
    if time <= now:
        raise argparse.ArgumentTypeError(f"{text} is in the past")
    return time


def _instant(text: str) -> datetime | None:
    """A time in ISO 8601 (UTC without a zone), in UTC; None for any other text. Raises OverflowError."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
