"""Tables of photos: persons and cells; errors name the line."""

from pathlib import Path

import pytest

from likeness.evaluation.photo_table import PhotoTableError, is_photo_table, read_either, read_photo_table

TABLE = "image,group,sex,age,person\na.jpg,white,f,30,anna\nb.jpg,white,f,31,anna\nc.jpg,indian,,40,bela\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "people.csv"
    path.write_text(text, "utf-8")
    return path


def test_people_and_cells(tmp_path: Path) -> None:
    table = read_photo_table(written(tmp_path, TABLE))
    assert table.photos == ("a.jpg", "b.jpg", "c.jpg")
    assert table.people.tolist() == [0, 0, 1]
    assert table.cells(["group", "sex"]).tolist() == ["white, f", "white, f", ""]
    assert table.cells(["group"]).tolist() == ["white", "white", "indian"]
    assert table.cells([]).tolist() == ["all"] * 3


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("image,sex\na.jpg,f\n", "person is missing"),
        ("image,person\na.jpg,\n", "line 2: needs an image and a person"),
        ("image,person\na.jpg,1\na.jpg,1\n", "line 3: a.jpg is already in line 2"),
        ("image,person\n", "lists no photos"),
    ],
)
def test_an_invalid_table_is_reported(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(PhotoTableError, match=why):
        read_photo_table(written(tmp_path, text))


def test_a_missing_column(tmp_path: Path) -> None:
    table = read_photo_table(written(tmp_path, TABLE))
    with pytest.raises(PhotoTableError, match="no column origin; it has group, sex, age"):
        table.cells(["origin"])


def test_pairs_and_photos_are_told_apart(tmp_path: Path) -> None:
    table = written(tmp_path, TABLE)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("image_a,image_b,same\na/1.jpg,a/2.jpg,1\na/1.jpg,b/1.jpg,0\n", "utf-8")
    assert is_photo_table(table)
    assert not is_photo_table(pairs)
    assert not is_photo_table(tmp_path / "none.csv")
    of_pairs = read_either(pairs)
    assert of_pairs.pairs is not None
    assert of_pairs.photos.photos == of_pairs.pairs.photos
    assert read_either(table).pairs is None
