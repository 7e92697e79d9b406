"""The server's own credentials for a store, found by botocore within the deadline of the request.

botocore queries the environment, files, other programs (`credential_process`) and network services (the machine's
role, STS), some of them without a timeout. So a separate thread does that for all waiting requests.
"""

import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import NamedTuple

import botocore.session
from botocore.exceptions import BotoCoreError

from likeness.errors import InvalidS3Object, SettingsError

#: Seconds until an unanswered query is repeated, and how many may be unanswered before giving up.
_ASK_AGAIN_SECONDS = 60.0
_MOST_UNANSWERED = 5


class Credentials(NamedTuple):
    """One set of valid credentials. All None: requests are sent without."""

    access_key: str | None
    secret_key: str | None
    token: str | None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key!r})"


class CredentialsFinder:
    """Finds the credentials of a profile, or, without one, the first that botocore finds. Thread-safe."""

    def __init__(self, profile: str | None) -> None:
        """Raises SettingsError for a profile that does not exist."""
        self._profile = profile
        self._lock = threading.Lock()
        self._session = self._new_session()
        self._asked: Future[Credentials | None] | None = None
        self._asked_at = 0.0
        self._unanswered = 0

    def _new_session(self) -> botocore.session.Session:
        session = botocore.session.Session(profile=self._profile)
        try:
            if self._profile is not None and self._profile not in session.available_profiles:
                raise SettingsError(f"s3 profile {self._profile!r} is not in the AWS configuration files")
        except BotoCoreError as error:
            raise SettingsError(f"s3 profile {self._profile!r}: {error}") from error
        return session

    def find(self, deadline: float) -> Credentials | None:
        """The credentials, refreshed if they expire; None if there are none.

        Raises BotoCoreError, and InvalidS3Object if they are not found by `deadline` (`time.monotonic()`).
        """
        with self._lock:
            if self._asked is None or (
                time.monotonic() - self._asked_at > _ASK_AGAIN_SECONDS and self._unanswered < _MOST_UNANSWERED
            ):
                self._ask()
            asked = self._asked
        assert asked is not None
        try:
            return asked.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise InvalidS3Object("the source of the server's credentials does not answer in time") from None

    def forget(self) -> None:
        """Queries all sources again the next time, as the credentials found are no longer accepted."""
        with self._lock, suppress(SettingsError):
            self._session = self._new_session()

    def _ask(self) -> None:
        self._asked = Future()
        self._asked_at = time.monotonic()
        self._unanswered += 1
        thread = threading.Thread(
            target=self._answer, args=(self._asked, self._session), name="credentials", daemon=True
        )
        thread.start()

    def _answer(self, asked: "Future[Credentials | None]", session: botocore.session.Session) -> None:
        answer: Credentials | None = None
        failure: BaseException | None = None
        try:
            found = session.get_credentials()
            answer = Credentials(*found.get_frozen_credentials()[:3]) if found is not None else None
        except Exception as error:  # noqa: BLE001 - botocore raises what the sources' parsers raise; it is reported below
            failure = error if isinstance(error, BotoCoreError) else InvalidS3Object(f"{type(error).__name__}: {error}")
        with self._lock:
            self._unanswered -= 1
            if self._asked is asked:
                self._asked = None
        if failure is not None:
            asked.set_exception(failure)
        else:
            asked.set_result(answer)
