"""Arguments and settings of a Comparer: invalid ones are explained at once."""

import pickle
from typing import Any

import pytest

import likeness
from likeness.comparer import Comparer, ComparerSettings
from likeness.errors import ComparerUnusable, InvalidParameter, SettingsError

pytestmark = pytest.mark.engine


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pack": 5}, "pack is 5; it must be"),
        ({"settings": {"max_faces": 3}}, "settings is an object of type dict; pass a ComparerSettings"),
        ({"threads": -1}, "threads is -1; it must be a whole number above 0, or 0 or None: all processors"),
        ({"threads": True}, "threads is True"),
        ({"threads": "2"}, "threads is '2'"),
    ],
)
def test_arguments_that_make_no_comparer_are_explained(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Comparer(**arguments)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"target_without_faces": "x"}, "target_without_faces is 'x'; it must be one of error, empty"),
        ({"max_faces": 0}, "max_faces is 0; it must be a whole number above 0"),
        ({"max_faces": 1.5}, "max_faces is 1.5; it must be a whole number above 0"),
        ({"min_side_px": True}, "min_side_px is True; it must be a whole number above 0"),
        ({"max_pixels": float("inf")}, "max_pixels is inf; it must be a whole number above 0"),
        ({"max_bytes": "15"}, "max_bytes is '15'"),
        ({"max_decoding_seconds": float("nan")}, "max_decoding_seconds is nan; it must be a number above 0"),
        ({"max_decoding_seconds": True}, "max_decoding_seconds is True"),
    ],
)
def test_settings_that_make_no_sense_are_explained(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        ComparerSettings(**setting)


def test_a_comparer_is_not_sent_to_another_process(comparer: Comparer) -> None:
    with pytest.raises(ComparerUnusable, match="make one there"):
        pickle.dumps(comparer)


@pytest.mark.parametrize("threshold", ["80", None, True, [80], 80j])
def test_a_threshold_of_another_type_is_told_in_words(comparer: Comparer, threshold: Any) -> None:
    with pytest.raises(InvalidParameter, match=r"similarity_threshold is .*; it must be a number from 0 to 100"):
        comparer.compare(b"", b"", similarity_threshold=threshold)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prefer": "biggest"}, "prefer is 'biggest'; it must be one of largest, central"),
        ({"most": 0}, "most is 0; it must be a whole number above 0, or None"),
        ({"most": -3}, "most is -3"),
        ({"most": 1.5}, "most is 1.5"),
    ],
)
def test_an_analysis_of_invalid_faces_is_refused(comparer: Comparer, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        comparer.analyse(b"", **arguments)


def test_a_source_face_of_an_unknown_preference_is_refused(comparer: Comparer) -> None:
    unknown: Any = "biggest"
    with pytest.raises(InvalidParameter, match="prefer is 'biggest'; it must be one of largest, central"):
        comparer.prepare(b"", prefer=unknown)
    pairs = likeness.compare_many([], comparer=comparer, options=likeness.BatchOptions(prefer=unknown))
    with pytest.raises(InvalidParameter, match="prefer is 'biggest'"):
        next(pairs)
