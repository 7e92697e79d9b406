"""Which of the choices tried `packs new` takes, and what it says it is not certain of."""

import pytest

from likeness.authoring.separation import Separation
from likeness.authoring.trials import doubts, first_of_the_best, template_of
from likeness.families.preprocessed import Preprocessing


@pytest.mark.parametrize(
    ("figures", "taken"), [((8.0, 8.03, 5.0), 0), ((7.0, 8.0, 7.99), 1), ((-3.0, -0.5, -0.2), 2), ((0.0, 0.0, 0.0), 0)]
)
def test_of_choices_as_good_as_each_other_the_first_is_taken(figures: tuple[float, ...], taken: int) -> None:
    results = [
        (Separation(each, 0.0, 0.0, 0.0), Preprocessing(scale=place + 1.0)) for place, each in enumerate(figures)
    ]
    assert first_of_the_best(results) == results[taken]


@pytest.mark.parametrize(
    ("size_px", "arcface", "retail", "people", "taken"),
    [
        (112, 8.1, 11.3, 2, "arcface"),  # 1.39 times as good, by six photos
        (112, 8.0, 11.3, 2, "retail"),
        (96, 8.0, 11.0, 2, "arcface"),
        (160, 8.0, 11.0, 2, "arcface"),
        (112, 8.0, 9.1, 20, "arcface"),
        (112, 8.0, 9.3, 20, "retail"),
        (128, 9.0, 8.0, 2, "retail"),
        (128, 9.3, 8.0, 20, "arcface"),
        (112, -1.0, 1.0, 20, "arcface"),  # none distinguishes people
    ],
)
def test_few_people_do_not_decide_the_template(
    size_px: int, arcface: float, retail: float, people: int, taken: str
) -> None:
    assert template_of({"arcface": arcface, "retail": retail}, size_px, people) == taken


@pytest.mark.parametrize(
    ("size_px", "arcface", "retail", "people", "said"),
    [
        (112, 8.1, 7.0, 2, []),
        (112, 8.1, 8.9, 2, ["retail distinguishes people best, but 2 people do not decide that: give --template"]),
        (112, 8.1, 8.9, 5, []),
        (128, 8.0, 9.0, 2, ["at 128 px retail and arcface-in-128 are usual"]),
        (112, 5.9, 4.0, 2, ["the best decidability is 5.9, and 8 and more are usual"]),
        (112, 4.0, 5.9, 2, ["is 5.9, and 8 and more", "the template is not certain"]),
        (112, 4.0, 3.0, 20, []),  # usual for photos that are not portraits
    ],
)
def test_what_the_portraits_leave_open_is_said(
    size_px: int, arcface: float, retail: float, people: int, said: list[str]
) -> None:
    found = doubts({"arcface": arcface, "retail": retail}, size_px, people)
    assert len(found) == len(said)
    assert doubts({"retail": 9.0}, 128, 2) == ()  # it was known
    assert all(each in sentence for each, sentence in zip(said, found, strict=True))
