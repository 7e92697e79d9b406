"""A photo whose end is missing is compared if the decoded part shows a face (decision 15)."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from likeness.comparer import Comparer
from likeness.errors import InvalidImageFormat


def upper_part(share: float) -> bytes:
    """A portrait as a JPEG, truncated to the first `share` of its bytes."""
    buffer = io.BytesIO()
    Image.fromarray(data.astronaut()).save(buffer, "JPEG", quality=90)
    whole = buffer.getvalue()
    return whole[: int(share * len(whole))]


@pytest.mark.engine
def test_a_face_in_the_decoded_part_is_compared_and_the_damage_noted(comparer: Comparer) -> None:
    compared = comparer.compare(np.ascontiguousarray(data.astronaut()), upper_part(0.6))
    assert compared.matches[0].similarity > 99
    assert any("target photo: the file is damaged or cut off" in note for note in compared.trace.notes)


@pytest.mark.engine
@pytest.mark.parametrize("role", ["source photo", "target photo"])
def test_a_face_in_the_missing_part_is_an_error_of_the_file(comparer: Comparer, role: str) -> None:
    whole, cut = np.ascontiguousarray(data.astronaut()), upper_part(0.1)
    photos = (cut, whole) if role == "source photo" else (whole, cut)
    with pytest.raises(InvalidImageFormat, match=rf"^{role}: the file is damaged or cut off, and no face is in"):
        comparer.compare(*photos)
