"""Access keys in a file."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from likeness.aws.policy import Policy


@dataclass(frozen=True, slots=True)
class Key:
    """An access key. The secret and the token are never shown by `repr`. All of `policies` must allow (session and user)."""

    id: str
    secret: str = field(repr=False)
    user_name: str
    account_id: str
    policies: tuple[Policy, ...]
    active: bool = True
    expires: datetime | None = None
    session_token: str | None = field(default=None, repr=False)
    created: datetime | None = None

    @property
    def arn(self) -> str:
        """`arn:aws:iam::ACCOUNT:user/NAME`."""
        return f"arn:aws:iam::{self.account_id}:user/{self.user_name}"


class KeyFile:
    """A file of keys, read again when it has changed; a broken file leaves the last good keys in force."""

    def __init__(self, path: Path) -> None:
        """Raises SettingsError when the file is missing, broken or readable by others."""
        self.path = path

    def lookup(self, key_id: str) -> Key | None:
        """The key with this id, or None. Looks at most once a second whether the file has changed. Thread-safe."""
        ...

    def __len__(self) -> int:
        """How many keys are in force."""
        ...
