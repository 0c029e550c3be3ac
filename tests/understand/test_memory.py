from __future__ import annotations

import logging

import msgspec
import pytest
import zstandard

from app.model.fleet import NodeKind
from app.understand.identity import Party
from app.understand.memory import KnownEdge, Mark, Memory, dump, known_node, load

PARTY = Party(
    "demo:shop:order",
    "order",
    NodeKind.SERVICE,
    "shop",
    ("Deployment", "order"),
    "team-a",
    "",
    "workload",
    "",
)


def test_what_is_remembered_comes_back():
    mark = Mark("degraded", 7.0, "011", 9.0, 1.0, "istio", "healthy", [("code", "text", 1.0, None)])
    memory = Memory(nodes={PARTY.id: known_node(PARTY, mark)}, edges={"a>b>http": KnownEdge(mark, "sync")})
    again = load(dump(memory))
    assert again == memory
    assert again.nodes[PARTY.id].party(PARTY.id) == PARTY


@pytest.mark.parametrize(
    "data",
    [
        b"garbage",
        zstandard.compress(b"\xc1"),
        zstandard.compress(msgspec.msgpack.encode({"a": 1})),
        dump(Memory())[:-3],
    ],
    ids=["no frame", "no message", "another shape", "truncated"],
)
def test_broken_memory_is_forgotten_with_a_word(data, caplog):
    with caplog.at_level(logging.WARNING):
        assert load(data) == Memory()
    assert "starts anew" in caplog.text


def test_memory_of_another_version_is_forgotten():
    assert load(dump(Memory(version=99, edges={"a>b>c": KnownEdge(Mark(), "sync")}))) == Memory()


def test_no_memory_is_an_empty_one():
    assert load(None) == Memory()
