"""boto3's client for CompareFaces, with the engine of this process in place of the network.

A handler of botocore's `before-send` event replaces only the network: botocore checks and serialises the parameters,
`likeness.aws.protocol` parses, validates and answers the body exactly as in the server, and botocore parses the answer.
Results, errors and their texts are those of the service, and a program changes one line:

    client = boto3.client("rekognition")      →      client = likeness.client()
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import PathLike
from typing import Any, cast
from urllib.parse import quote

from likeness.aws import protocol
from likeness.aws.errors import REASON_HEADER, BodyTooLarge, WireError
from likeness.aws.shapes import CompareFacesRequest, S3ObjectReference
from likeness.comparer import Comparer, ComparerSettings
from likeness.errors import RequestError
from likeness.faces import Compares, Comparison
from likeness.sources.store import Store, StoreSettings
from likeness.sources.stores import Stores

__all__ = ["Comparer", "Compares", "Observation", "Observer", "client"]

#: The address of requests: a name that never resolves (RFC 6761), so nothing leaves the process.
ENDPOINT = "https://likeness.invalid"

#: How long an S3 object may take; the service's own clients wait 60 s for an answer.
S3_SECONDS = 30.0

_DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, slots=True, repr=False)
class Observation:
    """A comparison, the bytes of its two photos, and the comparer that made it."""

    comparison: Comparison
    source: bytes
    target: bytes
    comparer: Compares


#: Called with each comparison, in the thread of the call, before the client returns.
Observer = Callable[[Observation], None]


def client(
    pack: str | PathLike[str] = "standard",
    *,
    comparer: Compares | None = None,
    settings: ComparerSettings | None = None,
    stores: Store | None = None,
    session: Any = None,
    observer: Observer | None = None,
) -> Any:
    """A botocore client for Rekognition (what `boto3.client("rekognition")` returns) whose `compare_faces` runs in this
    process.

        client = likeness.client()
        answer = client.compare_faces(SourceImage={"Bytes": source}, TargetImage={"Bytes": target})

    `answer` is boto3's dictionary, ResponseMetadata included. Errors are boto3's:
    `client.exceptions.InvalidParameterException` and its siblings, `botocore.exceptions.ClientError`,
    `ParamValidationError`; `likeness.errors.PackError` if the pack cannot be used. No region or credentials are
    needed; an S3Object is read with the credentials and profile that botocore finds, or from `stores`. One client
    serves any number of threads. The pack is loaded at the first call, unless a warm `comparer` is given; that has
    threads and settings of its own.

    Other operations of Rekognition raise ClientError with UnknownOperationException.
    """
    import botocore.session

    engine = _Engine(
        lambda: comparer or Comparer(pack, settings=settings),
        stores or Stores((StoreSettings(),)),
        observer,
    )
    made = _client_without_network(session or botocore.session.Session())
    made.meta.events.register("before-send.rekognition", engine.answer)
    return made


def _client_without_network(session: Any) -> Any:
    """botocore's client, independent of all network settings."""
    from botocore import UNSIGNED
    from botocore.config import Config

    made = session.create_client(
        "rekognition",
        region_name=session.get_config_variable("region") or _DEFAULT_REGION,
        endpoint_url=ENDPOINT,
        config=Config(
            signature_version=UNSIGNED,
            use_fips_endpoint=False,
            use_dualstack_endpoint=False,
            retries={"mode": "standard", "total_max_attempts": 1},
        ),
    )
    # Without a network no failure is transient: an error is final, and its text does not mention retries.
    made.meta.events.unregister("needs-retry.rekognition", unique_id="retry-config-rekognition")
    return made


class _Engine:
    """Acts as the server: takes botocore's request, returns botocore's response."""

    def __init__(self, open_comparer: Callable[[], Compares], stores: Store, observer: Observer | None) -> None:
        self._open_comparer = open_comparer
        self._stores = stores
        self._observer = observer
        self._comparer: Compares | None = None
        self._lock = threading.Lock()

    def answer(self, request: Any, **_: Any) -> Any:
        """botocore's handler for `before-send`: an AWSResponse. Errors that are not the service's pass through."""
        from botocore.awsrequest import AWSResponse

        request_id = str(uuid.uuid4())
        headers = {_text(name).lower(): _text(value) for name, value in request.headers.items()}
        response = protocol.route(request.method, headers.items(), request_id=request_id)
        if response is None:
            response = self._compare(request.body, request_id)
        return AWSResponse(request.url, response.status, cast(Any, dict(response.headers)), _Body(response.body))

    def _compare(self, body: bytes | str, request_id: str) -> protocol.WireResponse:
        content = body.encode() if isinstance(body, str) else body
        try:
            if len(content) > protocol.MAX_BODY_BYTES:
                raise BodyTooLarge
            request = protocol.validate(protocol.parse_body(content))
            source, target = self._photos(request)
            comparer = self._warm()
            comparison = comparer.compare(
                source,
                target,
                similarity_threshold=request.similarity_threshold,
                quality_filter=request.quality_filter,
            )
        except (RequestError, WireError) as error:
            return _with_reason(protocol.failure(error, request_id), error)
        if self._observer is not None:
            self._observer(Observation(comparison, source, target, comparer))
        return protocol.success(comparison, request_id)

    def _photos(self, request: CompareFacesRequest) -> tuple[bytes, bytes]:
        deadline = time.monotonic() + S3_SECONDS
        return self._bytes(request.source, deadline), self._bytes(request.target, deadline)

    def _bytes(self, image: bytes | S3ObjectReference, deadline: float) -> bytes:
        if isinstance(image, S3ObjectReference):
            limit = ComparerSettings().max_bytes
            return self._stores.fetch(image.bucket, image.name, image.version, max_bytes=limit, deadline=deadline)
        return image

    def _warm(self) -> Compares:
        with self._lock:
            if self._comparer is None:
                self._comparer = self._open_comparer()
            return self._comparer


class _Body:
    """The part of urllib3's response that botocore reads."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self._content


def _with_reason(response: protocol.WireResponse, error: RequestError | WireError) -> protocol.WireResponse:
    """`response` with the reason of `error` in a header, if the service's text does not contain it."""
    reason = str(error)
    if not isinstance(error, RequestError) or reason == error.service_message:
        return response
    headers = (*response.headers, (REASON_HEADER, quote(reason, safe=" ,.:;()'/")))
    return protocol.WireResponse(response.status, headers, response.body)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
