"""Tables of an evaluation: people.csv (photos with attributes) and pairs.csv."""

from fuzz.formats import file_of
from fuzz.target import Target
from likeness.evaluation.pairs import PairsError, every_pair
from likeness.evaluation.photo_table import PhotoTableError, read_either


def run(data: bytes) -> None:
    """Reads it; the cells of any two columns can be made."""
    table = read_either(file_of(data, "table.csv"))
    photos = table.photos
    assert len(photos.photos) == len(photos.people)
    assert len(photos.cells(list(photos.columns)[:2])) == len(photos.photos)
    if table.pairs is not None and len(table.pairs.photos) < 100:
        every_pair(table.pairs)


TARGET = Target(
    run,
    (PhotoTableError, PairsError),
    lambda: [
        b"image,person,origin,sex\na.jpg,1,x,f\nb.jpg,2,y,\n",
        b"image_a,image_b,same,fold,group,person_a,person_b\na.jpg,b.jpg,1,0,x,p,p\na.jpg,c.jpg,no,1,y,p,q\n",
        b"\xef\xbb\xbfimage_a,image_b,same\nx/a.jpg,x/b.jpg,true\nx/a.jpg,y/c.jpg,0\n",
    ],
    tokens=(
        b"image",
        b"person",
        b"image_a,image_b,same",
        b"person_a",
        b"fold",
        b"same",
        b"different",
        b'"',
        b"\r",
        b",,",
    ),
)
