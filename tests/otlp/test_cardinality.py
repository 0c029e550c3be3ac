"""More names than anybody can tell apart: everything is counted, newcomers under "other", and it is said."""

from __future__ import annotations

from dataclasses import replace

from app.config.settings import HostRule
from app.model.fleet import NodeKind
from app.understand.identity import Resolver
from collectors.otlp import OtlpCollector
from collectors.span_folded import Distinct, Limits
from tests.support.spans import (
    CLIENT,
    PRODUCER,
    SERVER,
    S,
    calls,
    edges,
    graph,
    later,
    look,
    nodes,
    seen,
    take,
)

SMALL = Limits(parties=25, versions=20, versions_each=3, hosts_each=5, stores_each=4, edges=15)
KAFKA = {"messaging.system": "kafka"}


def test_services_beyond_the_limit_count_as_other_services_and_that_is_told():
    snapshot = seen(*(S(f"s{i}", SERVER, id=i + 1) for i in range(50)), limits=SMALL)
    found = nodes(snapshot)
    assert sum(requests for requests, _ in found.values()) == 50
    assert found["other services"] == (31, 0)
    assert sum(requests for requests, _ in calls(snapshot).values()) == 50
    told = [notice for notice in snapshot.notices if "services more than" in notice]
    assert told == ["About 31 services more than can be told apart are counted as “other services”."]


def test_what_was_folded_is_counted_in_the_totals():
    collector = OtlpCollector("test", limits=SMALL)
    take(collector, *(S(f"s{i}", SERVER, id=i + 1) for i in range(50)))
    look(collector)
    assert collector.totals["folded_services"] == 31


def test_a_register_full_of_names_that_are_gone_makes_room_for_new_ones():
    collector = OtlpCollector("test", limits=SMALL)
    for minute in range(5):
        at = later(80 * minute)
        spans = (
            S(f"s{minute}-{i}", SERVER, id=100 * minute + i + 1, age=-80 * minute + 1) for i in range(15)
        )
        take(collector, *spans, at=at)
        found = nodes(look(collector, at))
        assert found == {f"s{minute}-{i}": (1, 0) for i in range(15)}
        look(collector, later(80 * minute + 70))


def test_what_is_in_use_keeps_its_numbers_and_meaning_when_names_make_room():
    collector = OtlpCollector("test", limits=replace(SMALL, edges=50))
    kafka = {**KAFKA, "messaging.destination.name": "orders"}
    store = {"db.system.name": "postgresql", "server.address": "pg", "db.namespace": "n"}
    call = {"peer.service": "x"}
    version = {"service.version": "v1"}
    take(collector, *(S(f"gone{i}", SERVER, id=i + 1) for i in range(13)))
    look(collector)
    at = later(58)
    take(
        collector,
        S("a", CLIENT, id=101, parent=9, attributes=store, age=-57),
        S("a", CLIENT, id=102, parent=9, attributes=call, age=-57),
        S("b", SERVER, id=103, parent=102, resource=version, age=-57),
        S("a", CLIENT, id=104, parent=9, attributes=call, age=-57),
        S("a", PRODUCER, id=105, parent=9, attributes=kafka, age=-57),
        S("c", SERVER, id=106, parent=107, age=-57),
        at=at,
    )
    look(collector, at)
    take(collector, S("a", CLIENT, id=107, parent=9, age=-63), at=later(64))
    snapshot = look(collector, later(68))
    assert collector.totals["compactions"] >= 1
    assert len(collector._joiner.parties.identities) < 15
    assert calls(snapshot) == {
        "a>postgresql@pg": (1, 0), "a>b": (2, 0), "a>kafka/orders": (1, 0), "a>c": (1, 0),
    }  # fmt: skip
    assert edges(snapshot)["a>postgresql@pg"]["protocol"] == "postgresql"
    assert snapshot.witnesses[0].nodes.versions.count("v1") == 1


def test_a_service_has_so_many_versions_and_others():
    spans = (S("b", SERVER, id=i + 1, resource={"service.version": f"v{i}"}) for i in range(9))
    snapshot = seen(*spans, limits=SMALL)
    traffic = snapshot.witnesses[0].nodes
    assert dict(zip(traffic.versions, traffic.requests, strict=True)) == {
        "v0": 1,
        "v1": 1,
        "v2": 1,
        "other": 6,
    }
    assert "6 versions" in snapshot.notices[0]


def test_many_untraced_hosts_of_one_caller_fold_into_one_node_that_says_how_many():
    spans = [
        S("a", CLIENT, id=i + 1, parent=9, attributes={"server.address": f"h{i}.example"}) for i in range(250)
    ]
    snapshot = seen(*spans, wait=True)
    assert len(calls(snapshot)) == 201
    assert calls(snapshot)["a>?other hosts ← shop/a"] == (50, 0)
    other = next(party for party in snapshot.witnesses[0].parties if party.name.startswith("other hosts"))
    assert (other.kind, other.scope) == (NodeKind.EXTERNAL, "shop/a")
    assert 48 <= int(other.detail.removeprefix("about ").removesuffix(" hosts")) <= 52


def test_hosts_of_one_configured_group_are_one_host_before_they_are_too_many():
    rule = HostRule(match=r"(.+)\.s3\.example", name="s3.example")
    spans = [
        S(
            "a",
            CLIENT,
            id=i + 1,
            parent=9,
            attributes={"server.address": f"t{i}.s3.example", "server.port": 443},
        )
        for i in range(50)
    ]
    assert graph(*spans, wait=True, limits=SMALL, hosts=(rule,)) == {"a>?s3.example": (50, 0)}


def test_hosts_folded_for_one_caller_are_told_apart_for_another():
    spans = [
        *(S("a", CLIENT, id=i + 1, parent=9, attributes={"server.address": f"h{i}"}) for i in range(8)),
        S("b", CLIENT, id=90, parent=9, attributes={"server.address": "h7"}),
    ]
    assert graph(*spans, wait=True, limits=SMALL)["b>?h7"] == (1, 0)


def test_other_hosts_of_two_callers_are_two_nodes():
    spans = [
        S(caller, CLIENT, id=100 * n + i, parent=9, attributes={"server.address": f"{caller}{i}.example"})
        for n, caller in enumerate("ab", 1)
        for i in range(1, 8)
    ]
    snapshot = seen(*spans, wait=True, limits=SMALL)
    resolver = Resolver("x", (), None)
    others = {resolver.node(p).id for p in snapshot.witnesses[0].parties if p.name.startswith("other hosts")}
    assert len(others) == 2


def test_stores_and_queues_of_one_caller_fold_by_kind():
    spans = [
        *(
            S(
                "a",
                CLIENT,
                id=i + 1,
                parent=9,
                attributes={"db.system.name": "mysql", "server.address": f"m{i}"},
            )
            for i in range(6)
        ),
        *(
            S("a", PRODUCER, id=i + 50, parent=9, attributes={**KAFKA, "messaging.destination.name": f"q{i}"})
            for i in range(6)
        ),
    ]
    snapshot = seen(*spans, limits=SMALL)
    found = calls(snapshot)
    assert sum(requests for requests, _ in found.values()) == 12
    assert found["a>messaging/(other)"] == (2, 0)
    shown = {Resolver("x", (), None).node(party).name for party in snapshot.witnesses[0].parties}
    assert {"other databases", "other queues"} <= shown


def test_edges_beyond_the_limit_lead_to_the_others_of_their_kind_and_none_is_lost():
    spans = []
    for i in range(6):
        for j in range(6):
            number = 2 * (6 * i + j) + 1
            spans += [
                S(f"a{i}", CLIENT, id=number, parent=999),
                S(f"b{j}", SERVER, id=number + 1, parent=number),
            ]
    snapshot = seen(*spans, limits=SMALL)
    found = calls(snapshot)
    assert sum(requests for requests, _ in found.values()) == 36
    assert sum(requests for name, (requests, _) in found.items() if name.endswith(">other services")) == 21
    assert any("edges more than" in notice for notice in snapshot.notices)


def test_an_alias_is_not_learned_for_what_was_folded():
    hosts = [{"server.address": f"h{i}"} for i in range(8)]
    collector = OtlpCollector("test", limits=SMALL)
    for i, host in enumerate(hosts):
        take(collector, S("a", CLIENT, id=i + 1, parent=9, attributes=host))
        look(collector)
    take(collector, S("b", SERVER, id=50, parent=8))
    found = calls(look(collector, later(11)))
    assert (found["a>?other hosts ← shop/a"], found["a>b"]) == ((2, 0), (1, 0))


def test_the_number_of_folded_names_is_about_right():
    for names in (1, 100, 30_000):
        distinct = Distinct()
        for _ in range(2):
            for i in range(names):
                distinct.add(f"service-{i}")
        assert abs(distinct.count() - names) <= max(1, names // 20)
