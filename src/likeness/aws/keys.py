"""Access keys and temporary credentials in one file.

The file is JSON, mode 600, because a server that checks signatures must know the secrets. It is replaced
atomically, so that readers never see a partial file. Temporary credentials are entries too, so that, unlike
self-contained tokens, they can be revoked.
"""

import base64
import hashlib
import os
import re
import secrets
import stat
import string
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from likeness.aws.policy import Policy
from likeness.aws.shapes import ACTION
from likeness.errors import SettingsError

#: The policy of a key created without one: compare photos sent in the request, but no S3 objects.
DEFAULT_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ACTION, "Resource": "*"}],
}
DEFAULT_ACCOUNT = "000000000000"
#: Default and maximum lifetime of temporary credentials (the service's figures for roles and sessions).
SESSION_DURATION = timedelta(hours=1)
MAX_SESSION_DURATION = timedelta(hours=36)
#: Expired temporary credentials are kept this long, so that they get ExpiredTokenException.
_KEEP_EXPIRED = timedelta(days=7)
_MAX_FILE_BYTES = 16 * 1024 * 1024
#: The most keys that one warning names.
_MOST_NAMED = 10
_BASE32 = string.ascii_uppercase + "234567"


@dataclass(frozen=True, slots=True)
class Key:
    """An access key.

    `repr` shows neither the secret nor the token. All of `policies` (the user's, the session's) must allow a request.
    """

    id: str
    secret: str = field(repr=False)
    user_name: str
    account_id: str
    policies: tuple[Policy, ...] = field(repr=False)
    active: bool = True
    expires: datetime | None = None
    session_token: str | None = field(default=None, repr=False)
    created: datetime | None = None
    #: The id of the key that temporary credentials belong to.
    parent: str | None = None

    @property
    def charged_id(self) -> str:
        """The id that rates and fair shares count: temporary credentials use those of their key."""
        return self.parent or self.id

    @property
    def arn(self) -> str:
        """`arn:aws:iam::ACCOUNT:user/NAME`."""
        return f"arn:aws:iam::{self.account_id}:user/{self.user_name}"

    @property
    def principal_id(self) -> str:
        """The user's id in the service's form, constant for a user."""
        digest = hashlib.sha256(self.arn.encode()).digest()
        return "AIDA" + base64.b32encode(digest).decode()[:17]


class Record(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An entry of the file.

    Temporary credentials have a `parent` and a `session_token`; their `policy` restricts the parent's.
    """

    id: str
    secret: str
    user: str
    account: str
    created: datetime
    policy: dict[str, Any] | None = None
    active: bool = True
    expires: datetime | None = None
    parent: str | None = None
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"Record({self.id!r}, user={self.user!r}, active={self.active})"


class _Contents(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[Record] = []
    version: int = 1


def default_path() -> Path:
    """The default key file: `LIKENESS_KEYS`, else `likeness/keys.json` in the configuration folder.

    For a user without a home directory it is in the system's configuration folder, /etc.
    """
    named = os.environ.get("LIKENESS_KEYS")
    if named:
        return Path(named)
    configured = os.environ.get("XDG_CONFIG_HOME")
    try:
        folder = Path(configured) if configured else Path.home() / ".config"
    except RuntimeError:  # a user without a home directory, such as an arbitrary id in a container
        folder = Path("/etc")
    return folder / "likeness" / "keys.json"


def load_keys(path: Path) -> dict[str, Key]:
    """The keys of a file by id. Raises SettingsError; its message never contains a secret."""
    records = read_records(path)
    by_id: dict[str, Record] = {}
    for record in records:
        if record.id in by_id:
            raise SettingsError(f"{path}: the key {record.id} is duplicate")
        by_id[record.id] = record
    return {record.id: _key(record, by_id, path) for record in records}


def _key(record: Record, by_id: dict[str, Record], path: Path) -> Key:
    parent = by_id.get(record.parent) if record.parent else None
    active, expires = record.active, record.expires
    if record.parent:
        active = active and parent is not None and parent.active
        # Temporary credentials expire with their parent.
        expires = min((end for end in (expires, parent.expires if parent else None) if end), default=None)
    try:
        policies = tuple(Policy.load(each.policy) for each in (parent, record) if each and each.policy is not None)
    except (SettingsError, RecursionError) as error:
        raise SettingsError(f"{path}: key {record.id}: {error}") from error
    return Key(
        id=record.id,
        secret=record.secret,
        user_name=record.user,
        account_id=record.account,
        policies=policies,
        active=active,
        expires=expires,
        session_token=record.session_token,
        created=record.created,
        parent=record.parent,
    )


def unheld_packs(keys: Iterable[Key], held: Collection[str]) -> str:
    """A warning of the keys in force whose policies name model packs that are not `held`; empty if there are none.

    Such a key may be refused each request, and a name that is misspelt in a Deny denies nothing.
    """
    named = []
    for key in keys:
        own = key.policies[1:] if key.parent else key.policies  # the first of a session is its key's
        packs = sorted(frozenset().union(*(policy.packs for policy in own)) - set(held))
        if key.active and packs:
            named.append(f"{key.id} ({key.user_name}): {', '.join(packs)}")
    if not named:
        return ""
    more = f"; and {len(named) - _MOST_NAMED} more keys" if len(named) > _MOST_NAMED else ""
    return (
        "policies of keys name packs that this server does not hold (see the settings pack and packs): "
        + "; ".join(named[:_MOST_NAMED])
        + more
    )


def read_records(path: Path) -> list[Record]:
    """The entries of the file, unchanged. Raises SettingsError."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            _check_private(file.fileno(), path)
            data = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: there is no such key file; create one with: likeness keys create") from error
    except OSError as error:
        raise SettingsError(f"{path}: the key file cannot be read: {error.strerror}") from error
    if len(data) > _MAX_FILE_BYTES:
        raise SettingsError(f"{path}: the key file is larger than {_MAX_FILE_BYTES} bytes")
    try:
        contents = msgspec.json.decode(data, type=_Contents)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"{path}: this is not a key file: {error}") from error
    if contents.version != 1:
        raise SettingsError(f"{path}: key file version {contents.version} is not known; this program reads version 1")
    for record in contents.keys:
        _check_record(record, path)
    return contents.keys


def _without_waiting(path: str, flags: int) -> int:
    """Opens a file; without O_NONBLOCK, a pipe would be waited for until it has a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_private(descriptor: int, path: Path) -> None:
    """Checks permissions as PostgreSQL does for private keys: the group may read a file that belongs to root.

    Kubernetes creates Secrets with an fsGroup like that: mode 440, owner root.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise SettingsError(f"{path}: the key file cannot be read: it is not a regular file")
    mode = stat.S_IMODE(status.st_mode)
    allowed = 0o740 if status.st_uid == 0 else 0o700
    if os.name == "posix" and mode & 0o777 & ~allowed:
        raise SettingsError(
            f"{path}: others may open the key file (mode {mode:o}); close it with: chmod 600 {path}, or, "
            "if root owns it and the server's group reads it, chmod 640"
        )


def _check_record(record: Record, path: Path) -> None:
    _check_names(record.user, record.account, f"{path}: key {record.id}: ")
    if not re.fullmatch("[A-Z0-9]{16,128}", record.id) or not record.secret:
        raise SettingsError(f"{path}: {record.id!r} is not a key id, or it has no secret")
    if (record.parent is None) != (record.session_token is None):
        raise SettingsError(f"{path}: key {record.id}: parent and session_token belong together")
    if record.parent is None and record.policy is None:
        raise SettingsError(f"{path}: key {record.id} has no policy; add one to its entry, or delete the entry")
    for time in (record.created, record.expires):
        if time is not None and time.tzinfo is None:
            raise SettingsError(f"{path}: key {record.id}: times need a zone, as in 2030-01-31T12:00:00Z")
        if time is not None and not _has_utc(time):
            raise SettingsError(f"{path}: key {record.id}: {time.isoformat()} is before year 1 or after 9999 in UTC")


def _has_utc(time: datetime) -> bool:
    try:
        time.astimezone(UTC)
    except OverflowError:
        return False
    return True


def _check_names(user: str, account: str, where: str = "") -> None:
    if not re.fullmatch(r"[A-Za-z0-9_+=,.@-]{1,64}", user):
        raise SettingsError(f"{where}{user!r} is not a user name: 1 to 64 letters, digits or _+=,.@-")
    if not re.fullmatch("[0-9]{12}", account):
        raise SettingsError(f"{where}{account!r} is not an account id: 12 digits")


def create_key(
    path: Path,
    user: str,
    *,
    account: str | None = None,
    policy: dict[str, Any] | None = None,
    expires: datetime | None = None,
) -> Record:
    """Creates a key in the file, which is created if missing. Raises SettingsError."""
    policy = DEFAULT_POLICY if policy is None else policy
    Policy.load(policy)
    with _editing(path) as records:
        account = account or (records[0].account if records else DEFAULT_ACCOUNT)
        _check_names(user, account)
        record = Record(
            id=_new_id("AKIA"),
            secret=_new_secret(),
            user=user,
            account=account,
            created=_now(),
            policy=policy,
            expires=expires,
        )
        records.append(record)
    return record


def create_session(
    path: Path,
    parent_id: str,
    *,
    duration: timedelta = SESSION_DURATION,
    policy: dict[str, Any] | None = None,
) -> Record:
    """Creates temporary credentials of a key in the file; `policy` can only restrict that of the key.

    Raises SettingsError for an invalid duration or policy, and for a key that is unknown or not in force.
    """
    if not timedelta(0) < duration <= MAX_SESSION_DURATION:
        raise SettingsError(f"a session lasts from 1 second to {MAX_SESSION_DURATION.total_seconds():.0f}")
    if policy is not None:
        Policy.load(policy)
    with _editing(path) as records:
        parent = _find(records, parent_id, path)
        if parent.parent is not None or not parent.active or (parent.expires and parent.expires <= _now()):
            raise SettingsError(f"{parent_id}: only an access key that is in force can have sessions")
        record = Record(
            id=_new_id("ASIA"),
            secret=_new_secret(),
            user=parent.user,
            account=parent.account,
            created=_now(),
            policy=policy,
            expires=_now() + duration,
            parent=parent.id,
            session_token=secrets.token_urlsafe(96),
        )
        records.append(record)
    return record


def revoke_key(path: Path, key_id: str, *, delete: bool = False) -> None:
    """Revokes a key and its sessions; `delete` also removes their entries.

    Raises SettingsError for an unknown id.
    """
    with _editing(path) as records:
        record = _find(records, key_id, path)
        record.active = False
        if delete:
            records[:] = [each for each in records if key_id not in (each.id, each.parent)]


def _find(records: Sequence[Record], key_id: str, path: Path) -> Record:
    for record in records:
        if record.id == key_id:
            return record
    raise SettingsError(f"{path}: there is no key {key_id}; likeness keys list shows the existing ones")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _new_id(prefix: str) -> str:
    return prefix + "".join(secrets.choice(_BASE32) for _ in range(16))


def _new_secret() -> str:
    return base64.b64encode(secrets.token_bytes(30)).decode()


@contextmanager
def _editing(path: Path) -> Iterator[list[Record]]:
    """The entries of the file, to be modified in place; written back atomically, one writer at a time."""
    # Imported here, as only modifications need SQLite.
    from likeness.system.locking import one_at_a_time

    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(path.with_name(path.name + ".lock"), mode=0o600):
        records = read_records(path) if path.exists() else []
        yield records
        oldest = _now() - _KEEP_EXPIRED
        kept = [each for each in records if not (each.parent and each.expires and each.expires < oldest)]
        _write(path, msgspec.json.format(msgspec.json.encode(_Contents(keys=kept)), indent=2) + b"\n")


def _write(path: Path, data: bytes) -> None:
    """Replaces the file, keeping owner, group and mode: root may edit the keys of another user's server."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if os.name == "posix" and path.exists():
                before = path.stat()
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            os.fsync(file.fileno())
        os.replace(name, path)
    except OSError:
        with suppress(OSError):
            os.unlink(name)
        raise
