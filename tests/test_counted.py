"""Numbers with their nouns."""

from likeness.counted import counted


def test_only_one_thing_is_singular() -> None:
    assert [counted(number, "photo") for number in (0, 1, 2, 1000)] == [
        "0 photos",
        "1 photo",
        "2 photos",
        "1,000 photos",
    ]
