"""Objects from any S3 by botocore: HEAD, then GET of the same content, with a limit of bytes.

The service has one text for all failures (specification section 4.4); the exception's reason, for the log, has the
cause. One deadline covers credentials, connections, headers and bodies.
"""

import http.client
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
)
from botocore.exceptions import ConnectionError as StoreConnectionError

from likeness.errors import ImageTooLarge, InvalidImageFormat, InvalidS3Object, RequestError, S3Cause
from likeness.sources.bounded_http import answers_until, bounded
from likeness.sources.credentials import Credentials, CredentialsFinder
from likeness.sources.store import ListedObject, S3RateExceeded, StoreSettings

Answer = TypeVar("Answer")

_CHUNK_BYTES = 256 * 1024
_CONNECTIONS = 32
#: How long a page of a listing may take, with all tries.
_SECONDS_A_PAGE = 60.0
_FIRST_PAUSE_SECONDS = 0.05
_DEFAULT_REGION = "us-east-1"

#: Transient failures: connections, and responses that ask for a retry. 412: changed between HEAD and GET.
_TRANSIENT_ERRORS = (
    ConnectTimeoutError,
    EndpointConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
)
_TRANSIENT_STATUS = frozenset({408, 409, 412, 429, 500, 502, 503, 504})
_THROTTLING = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded", "429"}
)
#: Errors after which the server's credentials are read again, as they may have been replaced.
_OUTDATED = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"})
_ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})

_CAUSES = {
    "NoSuchKey": "there is no such object",
    "NoSuchBucket": "there is no such bucket",
    "NoSuchVersion": "there is no such version",
    "AccessDenied": "the server's credentials may not read it",
    "InvalidAccessKeyId": "the server's access key is unknown to the store",
    "SignatureDoesNotMatch": "the server's secret key is wrong",
    "ExpiredToken": "the server's credentials have expired",
    "RequestTimeTooSkewed": "the server's clock is wrong",
    "InvalidObjectState": "it is archived and must be restored first",
    "PermanentRedirect": "the bucket is in another region",
    "AuthorizationHeaderMalformed": "the bucket is in another region",
    "MethodNotAllowed": "that version is a delete marker",
    "TemporaryRedirect": "the store redirects, which is not followed",
    # For stores that send no code, botocore uses the status.
    "301": "the store redirects, which is not followed",
    "302": "the store redirects, which is not followed",
    "307": "the store redirects, which is not followed",
    "308": "the store redirects, which is not followed",
    "403": "the server's credentials may not read it",
    "404": "there is no such object, version or bucket",
}


class S3Store:
    """Buckets of one S3 under one set of credentials."""

    def __init__(self, settings: StoreSettings) -> None:
        """Raises SettingsError for a profile that does not exist."""
        self._settings = settings
        self._lock = threading.Lock()
        self._client: Any = None
        self._client_credentials: Credentials | None = None
        self._finder = CredentialsFinder(settings.profile)

    def fetch(self, bucket: str, name: str, version: str | None, *, max_bytes: int, deadline: float) -> bytes:
        """See `sources.store.Store.fetch`, also for what it raises."""
        place = f"s3://{bucket}/{name}" + (f" version {version}" if version else "")
        _check_name(name, place)
        target = {"Bucket": bucket, "Key": name} | ({"VersionId": version} if version else {})
        return self._with_retries(lambda: self._fetch_once(target, place, max_bytes, deadline), place, deadline)

    def objects(self, bucket: str, prefix: str) -> Iterator[ListedObject]:
        """See `sources.store.Store.objects`, also for what it raises."""
        place = f"listing s3://{bucket}/{prefix}"
        asked = {"Bucket": bucket, "Prefix": prefix}
        token: str | None = None
        while True:
            page = self._page(asked | ({"ContinuationToken": token} if token else {}), place)
            for each in page.get("Contents", ()):
                state = f"{each.get('Size')} {each.get('ETag')} {each.get('LastModified')}"
                yield ListedObject(each["Key"], state)
            before, token = token, page.get("NextContinuationToken")
            if not page.get("IsTruncated"):
                return
            if not token or token == before:
                raise InvalidS3Object(
                    f"{place}: the store announces another page without a token for it", "invalid_answer"
                )

    def _page(self, asked: Mapping[str, str], place: str) -> Any:
        # Not botocore's paginator, which ends at an error: here a page that failed is requested again.
        deadline = time.monotonic() + _SECONDS_A_PAGE
        return self._with_retries(lambda: self._connected(place, deadline).list_objects_v2(**asked), place, deadline)

    def _with_retries(self, ask: Callable[[], Answer], place: str, deadline: float) -> Answer:
        """The store's answer; transient failures are retried until the deadline. Raises RequestError."""
        pause = _FIRST_PAUSE_SECONDS
        for attempt in range(1, self._settings.attempts + 1):
            try:
                with answers_until(deadline):
                    return ask()
            except RequestError:
                raise
            except (BotoCoreError, ClientError) as error:
                if not isinstance(error, ClientError):
                    _check_time(deadline, place)
                wait = pause * random.uniform(0.5, 1.5)
                last = attempt == self._settings.attempts or time.monotonic() + wait >= deadline
                if last or not _is_transient(error):
                    raise self._explained(error, place) from error
                time.sleep(wait)
                pause *= 2
            except Exception as error:  # noqa: BLE001 - its type is reported
                # botocore lets the exceptions of its parsers through, whose texts hold the response: here, a photo.
                _check_time(deadline, place)
                raise InvalidS3Object(
                    f"{place}: the store's response cannot be parsed ({type(error).__name__})", "invalid_answer"
                ) from None
        raise AssertionError("unreachable: attempts is at least 1")

    def _fetch_once(self, target: Mapping[str, str], place: str, max_bytes: int, deadline: float) -> bytes:
        """One HEAD and one GET. Raises botocore's errors and those of the object."""
        client = self._connected(place, deadline)
        try:
            head = client.head_object(**target)
        except ClientError as error:
            raise self._diagnosed(client, target, error) from error
        _check_head(head, place, max_bytes)
        _check_time(deadline, place)
        unchanged = {"IfMatch": head["ETag"]} if head.get("ETag") else {}
        # A store with a checksum of the object sends it, and botocore compares; others ignore this.
        body = client.get_object(**target, **unchanged, ChecksumMode="ENABLED")["Body"]
        chunks = []
        size = 0
        try:
            while chunk := body.read(_CHUNK_BYTES):
                chunks.append(chunk)
                size += len(chunk)
                if size > max_bytes:
                    raise ImageTooLarge(f"{place}: the store sends more than the {max_bytes} bytes allowed")
                _check_time(deadline, place)
        finally:
            body.close()
        if not size:
            raise InvalidImageFormat(f"{place}: the store sends no bytes")
        return b"".join(chunks)

    def _diagnosed(self, client: Any, target: Mapping[str, str], error: ClientError) -> ClientError:
        """The error of a GET, whose body states the cause, instead of `error` from a HEAD, which has no body."""
        try:
            client.get_object(**target, Range="bytes=0-0")["Body"].close()
        except ClientError as detailed:
            return detailed
        return error

    def _explained(self, error: BotoCoreError | ClientError, place: str) -> RequestError:
        if isinstance(error, ClientError):
            code, status = _code(error), _status(error)
            if code in _OUTDATED:
                self._finder.forget()
            if code in _THROTTLING:
                return S3RateExceeded(f"{place}: the store asks to slow down ({code})")
            text = f"{_CAUSES.get(code, 'the store refuses')} ({status} {code})"
            return InvalidS3Object(f"{place}: {text}", _cause_of_refusal(code, status))
        text, cause = _cause_of_failure(error)
        return InvalidS3Object(f"{place}: {text}", cause)

    def _connected(self, place: str, deadline: float) -> Any:
        """The botocore client; shared, as clients are thread-safe, and recreated for new credentials."""
        credentials = self._credentials(place, deadline)
        with self._lock:
            if self._client is None or self._client_credentials != credentials:
                self._client = bounded(self._connect(credentials))
                self._client_credentials = credentials
            return self._client

    def _credentials(self, place: str, deadline: float) -> Credentials:
        settings = self._settings
        if settings.anonymous:
            return Credentials(None, None, None)
        if settings.access_key_id is not None:
            return Credentials(settings.access_key_id, settings.secret_access_key, settings.session_token)
        try:
            found = self._finder.find(deadline)
        except InvalidS3Object as error:
            raise InvalidS3Object(f"{place}: {error}", "configuration") from error
        except BotoCoreError as error:
            if _is_transient(error):
                raise
            raise InvalidS3Object(f"{place}: {type(error).__name__}: {error}", "configuration") from error
        if found is None:
            raise InvalidS3Object(
                f"{place}: the server has no credentials for this store; see [s3] in its settings", "configuration"
            )
        return found

    def _connect(self, credentials: Credentials) -> Any:
        settings = self._settings
        session = botocore.session.Session(profile=settings.profile)
        # AWS_ENDPOINT_URL is ignored: it is usually the address of this server.
        endpoint = settings.endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or None
        style = settings.addressing if settings.addressing != "auto" else ("path" if endpoint else "auto")
        options: dict[str, Any] = {
            "connect_timeout": settings.connect_timeout_seconds,
            "read_timeout": settings.read_timeout_seconds,
            # `fetch` retries itself, as it knows the deadline.
            "retries": {"mode": "standard", "total_max_attempts": 1},
            "max_pool_connections": _CONNECTIONS,
            "s3": {"addressing_style": style},
            "ignore_configured_endpoint_urls": True,
            "response_checksum_validation": "when_required",
            "signature_version": UNSIGNED if settings.anonymous else None,
            "user_agent_appid": "likeness",
        }
        try:
            client = session.create_client(
                "s3",
                region_name=settings.region or session.get_config_variable("region") or _DEFAULT_REGION,
                endpoint_url=endpoint,
                aws_access_key_id=credentials.access_key,
                aws_secret_access_key=credentials.secret_key,
                aws_session_token=credentials.token,
                verify=str(settings.ca_bundle) if settings.ca_bundle else None,
                config=Config(**options),
            )
        except ValueError as error:  # botocore's for an invalid address or region
            raise InvalidS3Object(f"the settings of the store cannot be used: {error}", "configuration") from error
        client.meta.events.register("before-call.s3.HeadBucket", _ask_once_for_region)
        return client


def _ask_once_for_region(context: dict[str, Any], **_: Any) -> None:
    """Ends a recursion: botocore asks for a bucket's region when it is redirected, also when that request is."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def _check_name(name: str, place: str) -> None:
    """Raises for a name that no object has, or that an HTTP client would change into a path in another bucket."""
    if name.endswith("/"):
        raise InvalidS3Object(f"{place}: that is the name of a folder, not of an object", "not_found")
    if any(part in (".", "..") for part in name.split("/")):
        raise InvalidS3Object(f"{place}: names with the parts '.' or '..' are not served", "not_found")
    if not name.isprintable() and any("\ud800" <= character <= "\udfff" for character in name):
        raise InvalidS3Object(f"{place!r}: the name is not valid Unicode", "not_found")


def _check_head(head: Mapping[str, Any], place: str, max_bytes: int) -> None:
    """Raises for an object that is archived, too large or empty, before any of it is loaded."""
    restored = 'ongoing-request="false"' in head.get("Restore", "")
    if head.get("StorageClass") in _ARCHIVED and not restored:
        raise InvalidS3Object(f"{place}: it is archived ({head['StorageClass']}) and must be restored first")
    size = head.get("ContentLength")
    if size is not None and size > max_bytes:
        raise ImageTooLarge(f"{place}: {size} bytes, more than the {max_bytes} allowed")
    if size == 0:
        raise InvalidImageFormat(f"{place}: the object has no bytes")


def _check_time(deadline: float, place: str) -> None:
    if time.monotonic() >= deadline:
        raise InvalidS3Object(f"{place}: the store is too slow to send it before the request's deadline", "timeout")


def _cause_of_refusal(code: str, status: int) -> S3Cause:
    """The cause of an error with which a store answers."""
    if code in _OUTDATED or code == "RequestTimeTooSkewed":
        return "configuration"
    if code == "InvalidObjectState":
        return "refused"
    if status in (403, 404):
        return "access_denied" if status == 403 else "not_found"
    if 500 <= status < 600:
        return "unavailable"
    # Every S3 names its error; where no code comes, botocore gives the status in its place.
    return "invalid_answer" if code == str(status) else "refused"


def _cause_of_failure(error: BotoCoreError) -> tuple[str, S3Cause]:
    """What a failure without an answer means, in words and as a cause."""
    if isinstance(error, (ConnectTimeoutError, ReadTimeoutError)):
        return "the store does not answer in time", "timeout"
    if isinstance(error, EndpointConnectionError):
        return "the store cannot be reached", "unavailable"
    if isinstance(error, FlexibleChecksumError):
        return "its bytes do not match the checksum that the store sends; upload it again", "invalid_answer"
    broken = _broken_http(error)
    if broken is not None:
        return f"the store's response is not valid HTTP ({type(broken).__name__})", "invalid_answer"
    if isinstance(error, _TRANSIENT_ERRORS):
        return f"the store closes the connection early ({type(error).__name__})", "unavailable"
    # TLS and proxies fail as connections do.
    cause: S3Cause = "unavailable" if isinstance(error, StoreConnectionError) else "invalid_answer"
    return f"{type(error).__name__}: {error}", cause


def _broken_http(error: BaseException) -> http.client.HTTPException | None:
    """The error of the HTTP parser behind botocore's, whose class is the same where a store closes the connection."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, http.client.HTTPException):
        return None if isinstance(cause, (http.client.RemoteDisconnected, http.client.IncompleteRead)) else cause
    return None if cause is None else _broken_http(cause)


def _is_transient(error: BotoCoreError | ClientError) -> bool:
    if isinstance(error, ClientError):
        return _status(error) in _TRANSIENT_STATUS or _code(error) in _THROTTLING
    return isinstance(error, _TRANSIENT_ERRORS)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
