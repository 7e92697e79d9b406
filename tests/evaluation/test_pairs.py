"""Tables of labelled pairs."""

from pathlib import Path

import numpy as np
import pytest

from likeness.evaluation.pairs import PairsError, every_pair, read_pairs


def written(folder: Path, text: str) -> Path:
    path = folder / "pairs.csv"
    path.write_text(text, "utf-8")
    return path


def test_people_are_the_folders_where_the_labels_agree(tmp_path: Path) -> None:
    pairs = read_pairs(
        written(tmp_path, "fold,image_a,image_b,same\n1,ann/1.jpg,ann/2.jpg,1\n2,ann/1.jpg,bob/1.jpg,0\n")
    )
    assert pairs.photos == ("ann/1.jpg", "ann/2.jpg", "bob/1.jpg")
    assert pairs.same.tolist() == [True, False]
    assert pairs.people[0] == pairs.people[1] != pairs.people[2]
    assert pairs.folds is not None
    assert pairs.folds.tolist() == ["1", "2"]
    assert pairs.groups is None


def test_people_follow_from_the_pairs_where_folders_say_nothing(tmp_path: Path) -> None:
    text = "image_a,image_b,same\na.jpg,b.jpg,1\nb.jpg,c.jpg,true\nc.jpg,d.jpg,no\n"
    pairs = read_pairs(written(tmp_path, text))
    a, b, c, d = pairs.people
    assert a == b == c != d


def test_named_people_must_agree_with_the_labels(tmp_path: Path) -> None:
    good = "image_a,image_b,same,person_a,person_b\na.jpg,b.jpg,1,ann,ann\na.jpg,c.jpg,0,ann,bob\n"
    assert len(read_pairs(written(tmp_path, good))) == 2
    with pytest.raises(PairsError, match="contradict"):
        read_pairs(written(tmp_path, good.replace("0,ann,bob", "0,ann,ann")))


def test_every_pair_is_each_photo_with_each_other_once(tmp_path: Path) -> None:
    pairs = every_pair(read_pairs(written(tmp_path, "image_a,image_b,same\nann/1,ann/2,1\nann/1,bob/1,0\n")))
    assert len(pairs) == 3
    assert pairs.same.tolist() == [True, False, False]
    assert np.all(pairs.first < pairs.second)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line must name the columns"),
        ("image_a,image_b\na,b\n", "same is missing"),
        ("image_a,image_b,same\n", "has no pairs"),
        ("image_a,image_b,same\na,b,maybe\n", "line 2"),
        ("image_a,image_b,same\na,,1\n", "line 2"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PairsError, match=message):
        read_pairs(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PairsError, match=r"absent\.csv"):
        read_pairs(tmp_path / "absent.csv")
