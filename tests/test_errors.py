"""The exceptions: their tree, codes and texts."""

import inspect

import pytest

from likeness import errors


def request_errors() -> list[type[errors.RequestError]]:
    return [
        each
        for _, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, errors.RequestError) and each is not errors.RequestError
    ]


def test_the_tree_in_the_docstring_names_every_error() -> None:
    drawn = errors.__doc__ or ""
    missing = [
        name
        for name, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, errors.LikenessError) and name not in drawn
    ]
    assert missing == []


@pytest.mark.parametrize("error", request_errors(), ids=lambda each: each.__name__)
def test_a_request_error_has_the_code_and_text_of_the_service(error: type[errors.RequestError]) -> None:
    assert error.code.endswith(("Exception", "Error"))
    assert error("SourceImage: no face found").service_message == error.service_message
    assert error.http_status in {400, 500}


def test_the_message_is_the_reason_or_else_the_services_text() -> None:
    assert str(errors.NoFaceFound("source photo: no face found")) == "source photo: no face found"
    assert str(errors.NoFaceFound()) == "Request has invalid parameters"
