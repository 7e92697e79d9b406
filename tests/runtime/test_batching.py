"""Runs from several threads are joined to larger ones, whose answers are those of the runs alone."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tests.server.conftest import wait_for

from likeness.batch.describe import BatchOptions
from likeness.batch.many import compare_many
from likeness.comparer import Comparer, ComparerSettings
from likeness.runtime import devices
from likeness.runtime.batching import JoinedSession, joined
from likeness.runtime.devices import Provider


def network() -> bytes:
    """A network whose output for a picture depends on all its numbers and on no other picture."""
    value, filters = helper.make_tensor_value_info, np.random.default_rng(2).normal(size=(4, 3, 3, 3))
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "f"], ["c"]), helper.make_node("GlobalAveragePool", ["c"], ["y"])],
        "each for itself",
        [value("x", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [value("y", TensorProto.FLOAT, ["N", 4, 1, 1])],
        [numpy_helper.from_array(filters.astype(np.float32), "f")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


class Held:
    """A session on the processor that notes how many pictures each run has; the first run waits until it may end."""

    def __init__(self, network: bytes) -> None:
        self.session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
        self.get_inputs, self.get_outputs = self.session.get_inputs, self.session.get_outputs
        self.runs: list[int] = []
        self.begun, self.may_end = Event(), Event()

    def run(self, names: Sequence[str], feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        [pictures] = feed.values()
        self.runs.append(len(pictures))
        if len(self.runs) == 1:
            self.begun.set()
            assert self.may_end.wait(60)
        if np.isnan(pictures).any():
            raise RuntimeError("a picture that is no picture")
        outputs: list[NDArray[Any]] = self.session.run(names, dict(feed))
        return outputs


def run_at_once(held: Held, most: int, pictures: Sequence[NDArray[Any]]) -> list[Any]:
    """What each call gets, outputs or an error, when all wait while the first one runs."""
    session = JoinedSession(held, most)
    names, [given] = [each.name for each in held.get_outputs()], held.get_inputs()

    def call(these: NDArray[Any]) -> Any:
        try:
            return session.run(names, {given.name: these})[0]
        except RuntimeError as error:
            return error

    with ThreadPoolExecutor(len(pictures)) as pool:
        calls = [pool.submit(call, pictures[0])]
        assert held.begun.wait(60)
        for number, these in enumerate(pictures[1:], start=1):
            calls.append(pool.submit(call, these))
            wait_for(lambda so_many=number: len(session._waiting) == so_many)  # type: ignore[misc]
        held.may_end.set()
        return [each.result(60) for each in calls]


def some(*numbers: int) -> list[NDArray[np.float32]]:
    """So many pictures for each call."""
    rng = np.random.default_rng(5)
    return [rng.normal(size=(number, 3, 8, 8)).astype(np.float32) for number in numbers]


def test_calls_that_come_during_a_run_share_the_next_and_get_their_own_outputs() -> None:
    held, pictures = Held(network()), some(1, 2, 1, 3)
    answers = run_at_once(held, 64, pictures)
    assert held.runs == [1, 6]
    for answer, these in zip(answers, pictures, strict=True):
        np.testing.assert_allclose(answer, held.session.run(None, {"x": these})[0], rtol=1e-5)


def test_a_run_has_at_most_so_many_pictures_unless_one_call_alone_has_more() -> None:
    held, pictures = Held(network()), some(1, 2, 2, 2, 9, 1)
    answers = run_at_once(held, 4, pictures)
    assert held.runs == [1, 4, 2, 9, 1]
    assert [len(answer) for answer in answers] == [1, 2, 2, 2, 9, 1]


def test_a_call_that_fails_fails_alone() -> None:
    held, pictures = Held(network()), some(1, 1, 1, 1)
    pictures[2][:] = np.nan
    answers = run_at_once(held, 64, pictures)
    assert isinstance(answers[2], RuntimeError)
    assert all(isinstance(answers[place], np.ndarray) for place in (0, 1, 3))


def test_pictures_of_other_sizes_are_not_joined() -> None:
    held = Held(network())
    pictures = [np.ones((1, 3, side, side), np.float32) for side in (8, 8, 9, 8)]
    run_at_once(held, 64, pictures)
    assert held.runs == [1, 1, 1, 1]


class Described:
    """A session as ONNX Runtime describes it."""

    def __init__(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        def values(shapes: Sequence[Any]) -> list[Any]:
            return [type("Value", (), {"name": str(place), "shape": shape}) for place, shape in enumerate(shapes)]

        self.get_inputs, self.get_outputs = (lambda: values(inputs)), (lambda: values(outputs))


@pytest.mark.parametrize(
    ("inputs", "outputs", "joins"),
    [
        ([["N", 3, 8, 8]], [["N", 4], ["N", 5]], True),
        ([[1, 3, 8, 8]], [[1, 4]], False),
        ([["N", 3, 8, 8]], [["anchors", 4]], False),  # as SCRFD's, whose first dimension is not the batch
        ([[None, 3, 8, 8]], [[None, 4]], False),
        ([["N", 3, 8, 8], ["N", 2]], [["N", 4]], False),
        ([["N", 3, 8, 8]], [[]], False),
    ],
)
def test_only_networks_whose_outputs_have_the_batch_of_the_input_are_joined(
    inputs: list[Any], outputs: list[Any], joins: bool
) -> None:
    session = Described(inputs, outputs)
    assert isinstance(joined(session), JoinedSession) is joins
    assert joins or joined(session) is session


@pytest.mark.engine
def test_faces_and_photos_of_the_library_and_of_batches_are_joined(
    portraits: dict[str, Path], comparer: Comparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the processor in the place of a GPU, behind the same seam; the server compares by the same Comparer."""
    runs: list[int] = []
    run = JoinedSession._run

    def held(session: JoinedSession, names: Any, batch: Any) -> None:
        """The first run waits for a second call, which comes from another thread."""
        runs.append(len(batch))
        if len(runs) == 1:
            wait_for(lambda: len(session._waiting) > 0)
        run(session, names, batch)

    monkeypatch.setattr(JoinedSession, "_run", held)
    monkeypatch.setattr(devices, "PROVIDERS", {"cuda": Provider("CPUExecutionProvider", "", {}, joins=True)})
    people = [Image.open(portraits[name]).convert("RGB").resize((400, 500)) for name in ("obama.jpg", "biden.jpg")]
    group = np.hstack([np.asarray(each) for each in people * 2])
    source = portraits["obama2.jpg"]
    known = [match.similarity for match in comparer.compare(source, group, similarity_threshold=0).matches]
    assert len(known) == 4
    with Comparer(settings=ComparerSettings(device="cuda"), threads=4) as there:
        found = there.compare(source, group, similarity_threshold=0)
        assert [match.similarity for match in found.matches] == pytest.approx(known, abs=0.01)
        assert max(runs) > 1
        runs.clear()
        [row] = compare_many([(source, group)], comparer=there, options=BatchOptions(similarity_threshold=0))
        assert row.comparison is not None
        assert [match.similarity for match in row.comparison.matches] == pytest.approx(known, abs=0.01)
        assert max(runs) > 1
