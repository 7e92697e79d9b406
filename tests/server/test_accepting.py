"""Accepting connections, and which ones yield."""

import resource

import pytest

from likeness.server.accepting import Connections, _Client, fitting_connections


def add(connections: Connections, closed: list[str], name: str, address: str = "a") -> None:
    connections.add(_Client(name, address, lambda: closed.append(name)))


def test_the_longest_silent_connection_of_the_address_with_most_yields() -> None:
    connections, closed = Connections(10), list[str]()
    for name in ("a1", "a2", "a3"):
        add(connections, closed, name)
    add(connections, closed, "b1", "b")
    connections.note("a1", silent=False)
    assert connections.evict()
    assert closed == ["a2"]
    connections.note("a1", silent=True)  # silent again: now the last
    assert connections.evict()
    assert closed == ["a2", "a3"]
    assert len(connections) == 2


def test_a_connection_with_a_running_request_does_not_yield() -> None:
    connections, closed = Connections(1), list[str]()
    for name in ("a1", "a2"):
        add(connections, closed, name)
        connections.note(name, silent=False)
    assert connections.is_full
    assert not connections.evict()
    assert connections.silent_seconds() is None
    connections.remove("a1")
    connections.remove("a1")
    assert not connections.is_full


def test_an_address_with_many_incomplete_bodies_yields_to_one_with_fewer_connections() -> None:
    connections, closed = Connections(4), list[str]()
    for name in ("a1", "a2", "a3", "b1"):
        add(connections, closed, name, name[0])
        connections.note(name, silent=False, receiving=name != "a1")
    assert not connections.evict("a")
    assert not connections.evict()
    assert connections.evict("b")
    assert closed == ["a2"]
    connections.note("a3", silent=False)  # its body is complete
    assert not connections.evict("c")
    connections.note("a3", silent=False, receiving=True)
    assert connections.evict("c")
    assert closed == ["a2", "a3"]


@pytest.mark.parametrize(
    ("wanted", "descriptors", "fitting"),
    [(1000, 1024, 864), (1000, 65_536, 1000), (1000, resource.RLIM_INFINITY, 1000), (1000, 100, 1)],
)
def test_connections_fit_the_descriptors(wanted: int, descriptors: int, fitting: int) -> None:
    assert fitting_connections(wanted, descriptors) == fitting
