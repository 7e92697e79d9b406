"""`likeness.client()`: boto3's client, answered by the engine of this process."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ParamValidationError

from likeness import inprocess
from likeness.aws.errors import REASON_HEADER
from likeness.comparer import Comparer
from likeness.errors import (
    ImageTooLarge,
    InternalFailure,
    InvalidImageFormat,
    InvalidS3Object,
    NoFaceFound,
    PackNotInstalled,
    RequestError,
    Throttled,
)
from likeness.faces import BoundingBox, Comparison, Face, FaceMatch, Pose, Quality

PHOTO = {"Bytes": b"a photo"}
FACE = Face(BoundingBox(0.25, 0.5, 0.1, 0.2), 99.9, (), Pose(1, 2, 3), Quality(60, 90))


class Recorder:
    """A comparer that keeps what it was asked and answers or raises what it is told."""

    def __init__(self, raises: Exception | None = None) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.raises = raises

    def compare(self, source: bytes, target: bytes, *, similarity_threshold: float, quality_filter: Any) -> Comparison:
        self.asked.append((bytes(source), bytes(target), similarity_threshold, quality_filter))
        if self.raises is not None:
            raise self.raises
        similarity = float(len(source))
        return Comparison(FACE, (FaceMatch(similarity, FACE),), ())


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the person who runs the tests, and no network."""
    for variable in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))

    def no_network(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", no_network)


def test_an_answer_is_boto3s() -> None:
    recorder = Recorder()
    answer = inprocess.client(comparer=recorder).compare_faces(
        SourceImage=PHOTO, TargetImage={"Bytes": b"another"}, SimilarityThreshold=90, QualityFilter="HIGH"
    )
    assert recorder.asked == [(b"a photo", b"another", 90.0, "HIGH")]
    metadata = answer.pop("ResponseMetadata")
    assert metadata["HTTPStatusCode"] == 200
    assert metadata["RetryAttempts"] == 0
    assert metadata["RequestId"] == metadata["HTTPHeaders"]["x-amzn-requestid"]
    assert list(answer) == ["SourceImageFace", "FaceMatches", "UnmatchedFaces"]
    assert answer["FaceMatches"][0]["Similarity"] == 7.0
    assert answer["SourceImageFace"]["BoundingBox"] == {
        "Width": 0.25,
        "Height": 0.5,
        "Left": pytest.approx(0.1),
        "Top": pytest.approx(0.2),
    }


def test_defaults_are_the_services() -> None:
    recorder = Recorder()
    inprocess.client(comparer=recorder).compare_faces(SourceImage=PHOTO, TargetImage=PHOTO)
    assert recorder.asked[0][2:] == (80.0, "NONE")


def test_signature_and_methods_are_boto3s() -> None:
    """The same class of client, made from the same model; only what it talks to differs."""
    theirs: Any = boto3.client("rekognition", region_name="eu-west-1", aws_access_key_id="k", aws_secret_access_key="s")
    ours = inprocess.client(comparer=Recorder())
    assert type(ours).__name__ == type(theirs).__name__
    assert ours.meta.service_model.operation_names == theirs.meta.service_model.operation_names
    assert ours.compare_faces.__doc__ is not None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NoFaceFound("SourceImage: no face"), 400),
        (InvalidImageFormat(), 400),
        (ImageTooLarge("TargetImage: 200 megapixels"), 400),
        (Throttled(), 400),
        (InternalFailure("what broke is in the log"), 500),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_are_boto3s(error: RequestError, status: int) -> None:
    client = inprocess.client(comparer=Recorder(error))
    with pytest.raises(
        getattr(client.exceptions, "ThrottlingException" if isinstance(error, Throttled) else error.code)
    ) as raised:
        client.compare_faces(SourceImage=PHOTO, TargetImage=PHOTO)
    assert isinstance(raised.value, ClientError)
    response = raised.value.response
    assert response["Error"] == {"Code": error.code, "Message": error.service_message}
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["ResponseMetadata"]["RetryAttempts"] == 0
    assert "reached max retries" not in str(raised.value)
    reason = response["ResponseMetadata"]["HTTPHeaders"].get(REASON_HEADER)
    assert reason == (None if str(error) == error.service_message else str(error))


def test_an_overloaded_engine_is_asked_once() -> None:
    recorder = Recorder(Throttled())
    client = inprocess.client(comparer=recorder)
    with pytest.raises(ClientError):
        client.compare_faces(SourceImage=PHOTO, TargetImage=PHOTO)
    assert len(recorder.asked) == 1


def test_parameters_are_checked_on_both_sides() -> None:
    client = inprocess.client(comparer=Recorder())
    with pytest.raises(ParamValidationError, match='Missing required parameter in input: "TargetImage"'):
        client.compare_faces(SourceImage=PHOTO)
    for wrong, constraint in (
        ({"SourceImage": {"Bytes": b""}}, "length greater than or equal to 1"),
        ({"SimilarityThreshold": 101}, "less than or equal to 100"),
        ({"QualityFilter": "BEST"}, "enum value set"),
        ({"SourceImage": {"Bytes": bytes(5_242_881)}}, "less than or equal to 5242880"),
    ):
        with pytest.raises(ClientError, match=constraint) as raised:
            client.compare_faces(**{"SourceImage": PHOTO, "TargetImage": PHOTO, **wrong})
        assert raised.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(client.exceptions.InvalidParameterException):
        client.compare_faces(SourceImage={}, TargetImage=PHOTO)


def test_bodies_over_the_front_ends_limit() -> None:
    client = inprocess.client(comparer=Recorder())
    with pytest.raises(ClientError) as raised:
        client.compare_faces(SourceImage={"Bytes": bytes(12 * 1024 * 1024)}, TargetImage=PHOTO)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_other_operations_are_unknown() -> None:
    with pytest.raises(ClientError) as raised:
        inprocess.client(comparer=Recorder()).detect_faces(Image=PHOTO)
    assert raised.value.response["Error"]["Code"] == "UnknownOperationException"


def test_objects_come_from_the_stores() -> None:
    fetched: list[tuple[Any, ...]] = []

    class Folder:
        def fetch(self, bucket: str, name: str, version: str | None, *, max_bytes: int, deadline: float) -> bytes:
            fetched.append((bucket, name, version, max_bytes))
            if name == "gone":
                raise InvalidS3Object("there is no such file")
            return b"from a folder"

    recorder = Recorder()
    client = inprocess.client(comparer=recorder, stores=Folder())
    stored = {"S3Object": {"Bucket": "photos", "Name": "a.jpg", "Version": "7"}}
    client.compare_faces(SourceImage=stored, TargetImage=PHOTO)
    assert fetched == [("photos", "a.jpg", "7", 15 * 1024 * 1024)]
    assert recorder.asked[0][0] == b"from a folder"
    with pytest.raises(client.exceptions.InvalidS3ObjectException, match="Unable to get object metadata"):
        client.compare_faces(SourceImage=PHOTO, TargetImage={"S3Object": {"Bucket": "photos", "Name": "gone"}})


def test_errors_that_are_not_the_services_pass_through() -> None:
    client = inprocess.client(comparer=Recorder(PackNotInstalled("run likeness packs install standard")))
    with pytest.raises(PackNotInstalled, match="likeness packs install"):
        client.compare_faces(SourceImage=PHOTO, TargetImage=PHOTO)


def test_the_pack_is_opened_once_at_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    starting = threading.Barrier(8)

    def open_comparer(pack: str, **more: Any) -> Recorder:
        opened.append((pack, more))
        return Recorder()

    monkeypatch.setattr(inprocess, "Comparer", open_comparer)
    client = inprocess.client("mine")
    assert opened == []

    def call(length: int) -> float:
        starting.wait()
        answer = client.compare_faces(SourceImage={"Bytes": bytes(length)}, TargetImage=PHOTO)
        similarity: float = answer["FaceMatches"][0]["Similarity"]
        return similarity

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(call, range(1, 9))) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert opened == [("mine", {"settings": None})]


def test_observed() -> None:
    seen: list[inprocess.Observation] = []
    recorder = Recorder()
    client = inprocess.client(comparer=recorder, observer=seen.append)
    client.compare_faces(SourceImage=PHOTO, TargetImage={"Bytes": b"other"})
    assert (bytes(seen[0].source), bytes(seen[0].target), seen[0].comparer) == (b"a photo", b"other", recorder)
    assert seen[0].comparison.matches[0].similarity == 7.0
    assert "a photo" not in repr(seen[0])


@pytest.mark.parametrize("variable", ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
def test_settings_of_the_network_do_not_matter(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "7")
    answer = inprocess.client(comparer=Recorder()).compare_faces(SourceImage=PHOTO, TargetImage=PHOTO)
    assert answer["FaceMatches"]


@pytest.mark.engine
def test_with_the_real_engine(comparer: Comparer, portraits: dict[str, Path]) -> None:
    client = inprocess.client(comparer=comparer)
    source, target = (portraits[name].read_bytes() for name in ("obama.jpg", "obama2.jpg"))
    answer = client.compare_faces(SourceImage={"Bytes": source}, TargetImage={"Bytes": target})
    direct = comparer.compare(source, target).to_dict()
    assert {name: value for name, value in answer.items() if name != "ResponseMetadata"} == direct
    with pytest.raises(client.exceptions.InvalidImageFormatException):
        client.compare_faces(SourceImage={"Bytes": b"GIF89a" + bytes(100)}, TargetImage={"Bytes": target})
