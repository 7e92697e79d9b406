"""In which order, and in how large pieces, what is to be done for faces is shared out."""

from types import SimpleNamespace
from typing import Any

import pytest

from likeness.crew import NOBODY, Crew
from likeness.description import _embedder_runs, _ordered
from likeness.stopwatch import Stopwatch


def ordered(long: str, short: str, shortest: str) -> str:
    pieces: list[list[Any]] = [[*names] for names in (long, short, shortest)]
    return "".join(str(piece) for piece in _ordered(*pieces))


@pytest.mark.parametrize(
    ("long", "order"),
    [("A", "Axyz123"), ("AB", "ABxyz123"), ("ABC", "AB123Cxyz"), ("ABCDE", "AB1C2D3Exyz"), ("ABCDEF", "ABC1D2E3Fxyz")],
)
def test_what_holds_the_interpreter_is_done_between_long_pieces_where_there_are_many(long: str, order: str) -> None:
    assert ordered(long, "xyz", "123") == order


def runs(faces: int, crew: Crew, *, busy: bool = False, looks: int = 1) -> list[int]:
    """How many views each run has."""
    embedder = SimpleNamespace(aligner=SimpleNamespace(size_px=112), looks=looks)
    engine: Any = SimpleNamespace(embedder=embedder)
    measured: Any = [SimpleNamespace()] * faces
    return [run.views for run in _embedder_runs(engine, measured, Stopwatch(), crew, busy=busy)]


def test_a_few_faces_are_embedded_by_two_who_have_nothing_else_to_do() -> None:
    crew = Crew(1)
    try:
        assert [runs(faces, crew) for faces in (2, 4, 5, 10)] == [[1, 1], [2, 2], [3, 2], [4, 4, 2]]
        assert runs(4, crew, looks=2) == [4, 4]
        # Another who looks for more faces meanwhile needs no share.
        assert [runs(faces, crew, busy=True) for faces in (4, 6)] == [[4], [4, 2]]
    finally:
        crew.close()
    assert runs(6, NOBODY) == [4, 2]
