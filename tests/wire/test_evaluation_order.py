"""Table 2.4 against the running server: each row's answer, and the precedence of earlier rows."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.engine

HEADERS = {"X-Amz-Target": "RekognitionService.CompareFaces", "Content-Type": "application/x-amz-json-1.1"}
NOT_POST = (
    b"<AccessDeniedException><Message>Unable to determine service/operation name to be authorized</Message>"
    b"</AccessDeniedException>"
)


def test_row_1_a_body_too_large(wire: Any) -> None:
    answer = wire.send("POST", b" " * (15 * 1024 * 1024 + 1), HEADERS)
    assert (answer.status, answer.body) == (413, b"")
    assert "x-amzn-requestid" in answer.headers


def test_row_1_comes_before_the_others(wire: Any) -> None:
    assert wire.send("POST", b" " * (15 * 1024 * 1024 + 1)).status == 413


def test_row_2_a_preflight_where_browsers_may_not_call(wire: Any) -> None:
    answer = wire.send("OPTIONS", headers={"Origin": "https://app.example"})
    assert (answer.status, answer.body) == (403, NOT_POST)
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_row_3_comes_before_the_content_type(method: str, wire: Any) -> None:
    answer = wire.send(method, b"{")
    assert (answer.status, answer.body) == (403, NOT_POST)


def test_row_4_comes_before_the_target_and_the_body(wire: Any) -> None:
    answer = wire.send("POST", b"{")
    assert (answer.status, answer.body) == (404, b"<UnknownOperationException/>\n")


def test_row_6_comes_before_the_body_and_the_signature(wire: Any) -> None:
    answer = wire.send("POST", b"{", HEADERS | {"X-Amz-Target": "RekognitionService.DetectFaces"})
    assert (answer.status, answer.json) == (400, {"__type": "UnknownOperationException"})


def test_row_7_comes_before_the_signature(wire: Any) -> None:
    assert wire.send("POST", b"null", HEADERS).json == {"__type": "SerializationException"}


def kind(answer: Any) -> str:
    assert answer.status == 400
    name: str = answer.json["__type"]
    return name


def test_rows_9_to_12_in_their_order(send_as: Callable[..., Any], request_with: Callable[..., Any]) -> None:
    wrong_type, wrong_value = request_with(QualityFilter=5), request_with(QualityFilter="BEST")
    both = request_with(QualityFilter=5, SimilarityThreshold=101)
    assert kind(send_as(secret="wrong", key="denied").post(wrong_type)) == "InvalidSignatureException"
    assert kind(send_as(key="denied").post(wrong_type)) == "AccessDeniedException"
    assert kind(send_as().post(both)) == "SerializationException"
    assert kind(send_as().post(wrong_value | {"SourceImage": {}})) == "ValidationException"
    assert kind(send_as().post(request_with({}))) == "InvalidParameterException"


def test_row_13_comes_after_validation(send_as: Callable[..., Any], request_with: Callable[..., Any]) -> None:
    slow = send_as(key="slower")
    used_up = [slow.post(request_with(b"no photo")) for _ in range(3)]
    assert kind(used_up[-1]) == "ProvisionedThroughputExceededException"
    assert kind(slow.post(request_with(QualityFilter="BEST"))) == "ValidationException"
    assert kind(slow.post(request_with(b"no photo"))) == "ProvisionedThroughputExceededException"
