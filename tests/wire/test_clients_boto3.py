"""Unmodified boto3: only the endpoint differs (vector 40)."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.engine

BUCKET = "photos-test"


def stored(name: str, **members: str) -> dict[str, Any]:
    return {"S3Object": {"Bucket": BUCKET, "Name": name} | members}


@pytest.mark.parametrize("key", ["full", "session"])
def test_bytes(key: str, boto3_client: Callable[..., Any], photos: Any) -> None:
    answer = boto3_client(key).compare_faces(
        SourceImage={"Bytes": photos.person}, TargetImage={"Bytes": photos.person}, SimilarityThreshold=90
    )
    assert answer["FaceMatches"][0]["Similarity"] == 100.0
    assert answer["UnmatchedFaces"] == []
    metadata = answer["ResponseMetadata"]
    assert (metadata["HTTPStatusCode"], metadata["RetryAttempts"]) == (200, 0)
    assert uuid.UUID(metadata["RequestId"]).version == 4


def test_two_photos_of_one_person_and_of_different_people(boto3_client: Callable[..., Any], photos: Any) -> None:
    client = boto3_client()
    same = client.compare_faces(SourceImage={"Bytes": photos.person}, TargetImage={"Bytes": photos.person_again})
    assert len(same["FaceMatches"]) == 1
    other = client.compare_faces(SourceImage={"Bytes": photos.person}, TargetImage={"Bytes": photos.other_person})
    assert (other["FaceMatches"], len(other["UnmatchedFaces"])) == ([], 1)


def test_s3_objects(boto3_client: Callable[..., Any], photos: Any, s3_versions: dict[str, str]) -> None:
    client = boto3_client()
    answer = client.compare_faces(SourceImage=stored("person.jpg"), TargetImage=stored("folder/again ä.jpg"))
    assert len(answer["FaceMatches"]) == 1
    older = client.compare_faces(
        SourceImage={"Bytes": photos.other_person},
        TargetImage=stored("person.jpg", Version=s3_versions["other_person"]),
    )
    assert older["FaceMatches"][0]["Similarity"] == 100.0


def test_modelled_errors_are_the_clients_own_exceptions(boto3_client: Callable[..., Any], photos: Any) -> None:
    client = boto3_client()
    person = {"Bytes": photos.person}
    for exception, source in (
        (client.exceptions.InvalidParameterException, {"Bytes": photos.no_face}),
        (client.exceptions.InvalidParameterException, {}),
        (client.exceptions.InvalidImageFormatException, {"Bytes": b"no photo"}),
        (client.exceptions.InvalidImageFormatException, stored("empty.jpg")),
        (client.exceptions.ImageTooLargeException, stored("large.jpg")),
        (client.exceptions.InvalidS3ObjectException, stored("missing.jpg")),
        (client.exceptions.InvalidS3ObjectException, {"S3Object": {"Bucket": BUCKET}}),
    ):
        with pytest.raises(exception) as raised:
            client.compare_faces(SourceImage=source, TargetImage=person)
        assert isinstance(raised.value, ClientError)
        assert raised.value.response["Error"]["Message"]
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_denial_is_the_modelled_exception(boto3_client: Callable[..., Any], photos: Any) -> None:
    client = boto3_client("denied")
    with pytest.raises(client.exceptions.AccessDeniedException, match="explicit deny"):
        client.compare_faces(SourceImage={"Bytes": photos.person}, TargetImage={"Bytes": photos.person})


@pytest.mark.parametrize(
    ("members", "code", "text"),
    [
        ({"SimilarityThreshold": 100.1}, "ValidationException", "value less than or equal to 100"),
        ({"QualityFilter": "BEST"}, "ValidationException", "enum value set"),
        ({"SimilarityThreshold": float("nan")}, "ValidationException", "'NaN'"),
        ({"SourceImage": {"Bytes": b"\xff" * 5_242_881}}, "ValidationException", "lim=5242881 cap=5242881"),
    ],
)
def test_validation_is_a_plain_client_error(
    members: dict[str, Any], code: str, text: str, boto3_client: Callable[..., Any], photos: Any
) -> None:
    client = boto3_client()
    person = {"Bytes": photos.person}
    with pytest.raises(ClientError) as raised:
        client.compare_faces(**{"SourceImage": person, "TargetImage": person} | members)
    assert type(raised.value) is ClientError
    assert raised.value.response["Error"]["Code"] == code
    assert text in raised.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        ({"aws_access_key_id": "AKIAAAAAAAAAAAAAAAAA"}, "UnrecognizedClientException"),
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
        ({"aws_session_token": "wrong"}, "UnrecognizedClientException"),
    ],
)
def test_wrong_credentials(credentials: dict[str, str], code: str, server: Any, photos: Any) -> None:
    import boto3

    record = server.keys["full"]
    mine = {"aws_access_key_id": record.id, "aws_secret_access_key": record.secret}
    client = boto3.client("rekognition", endpoint_url=server.url, region_name="us-east-1", **mine | credentials)
    with pytest.raises(ClientError) as raised:
        client.compare_faces(SourceImage={"Bytes": photos.person}, TargetImage={"Bytes": photos.person})
    assert raised.value.response["Error"]["Code"] == code


def test_without_a_signature(boto3_client: Callable[..., Any], photos: Any) -> None:
    from botocore import UNSIGNED
    from botocore.config import Config

    client = boto3_client(config=Config(signature_version=UNSIGNED))
    with pytest.raises(ClientError, match="Missing Authentication Token") as raised:
        client.compare_faces(SourceImage={"Bytes": photos.person}, TargetImage={"Bytes": photos.person})
    assert raised.value.response["Error"]["Code"] == "MissingAuthenticationTokenException"


def test_another_operation(boto3_client: Callable[..., Any], photos: Any) -> None:
    with pytest.raises(ClientError) as raised:
        boto3_client().detect_faces(Image={"Bytes": photos.person})
    assert raised.value.response["Error"]["Code"] == "UnknownOperationException"


def test_one_client_in_many_threads(boto3_client: Callable[..., Any], photos: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    client = boto3_client()

    def compare(number: int) -> int:
        target = photos.person if number % 2 else photos.other_person
        answer = client.compare_faces(SourceImage={"Bytes": photos.person}, TargetImage={"Bytes": target})
        return len(answer["FaceMatches"])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(compare, range(8))) == [0, 1] * 4
