"""The steps of a pack's pipeline: what the engine asks of its networks."""

import pytest

from likeness.engine import Engine
from likeness.errors import PackInvalid
from likeness.packs.runtime import OnnxNetwork
from likeness.vision.embedding import VectorPart

pytestmark = pytest.mark.engine


def test_the_vectors_of_both_embedders_lie_one_behind_the_other(thorough_pack: None) -> None:
    first, second = VectorPart(192, "certainty"), VectorPart(128, "agreement")
    assert Engine("thorough", threads=1).vector_parts == [first, second]
    assert Engine("standard", threads=1).vector_parts == [first]
    assert Engine("light", threads=1).vector_parts == [second]


def test_only_the_last_embedder_may_leave_open_how_long_its_vectors_are(
    thorough_pack: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxNetwork, "output_shapes", [["N", "D"]])
    standard = Engine("standard", threads=1)
    assert standard.vector_parts == [VectorPart(0, "certainty")]
    assert standard.scorer is not None
    with pytest.raises(PackInvalid, match="the network of embedder does not say how long its vectors are"):
        _ = Engine("thorough", threads=1).scorer


def test_what_was_learned_of_another_networks_vectors_is_refused(
    standard_pack: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxNetwork, "output_shapes", [["N", 1024]])
    with pytest.raises(PackInvalid, match=r"\[scoring\] was learned of vectors of 192 numbers, .* gives 1024; take"):
        _ = Engine("standard", threads=1).scorer
