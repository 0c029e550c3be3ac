from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from app.model.fleet import EdgeKind, EvidenceKind, HealthStatus, Identity, NodeKind, Topology
from app.model.inventory import Inventory
from app.understand.identity import Resolver
from app.understand.topology import Assembly, assemble, build
from tests.support.fleets import (
    MINUTE,
    NOON,
    database,
    down,
    edge_row,
    fresh,
    kube_service,
    kubernetes,
    node_row,
    queue,
    revision,
    service,
    snapshot,
    witness,
    workload,
)

MESH, GRAPH, SERVER, CLIENT, TRACES = (
    EvidenceKind.MESH,
    EvidenceKind.SERVICE_GRAPH,
    EvidenceKind.SERVER_METRICS,
    EvidenceKind.CLIENT_METRICS,
    EvidenceKind.TRACES,
)
ORDER, PAY = service("order"), service("payment")
DB, TOPIC = database("postgresql", "orders-db:5432"), queue("orders")


FRESH = (fresh(),)


def built(*snapshots, freshness=FRESH, memory=None, now=NOON, baselines=None, rules=()) -> Assembly:
    inventory = next((s.inventory for s in snapshots if s.inventory is not None), None)
    return build(
        "demo", snapshots, freshness, Resolver("demo", rules, inventory), memory, baselines or {}, now
    )


def topology(*snapshots, **over) -> Topology:
    return built(*snapshots, **over).topology


def node(found: Topology, name: str):
    return next(n for n in found.nodes if n.name == name)


def edge(found: Topology, source: str, target: str, protocol: str | None = None):
    ids = {n.id: n.name for n in found.nodes}
    return next(
        e
        for e in found.edges
        if (ids[e.source], ids[e.target]) == (source, target) and protocol in (None, e.protocol)
    )


# Merging -----------------------------------------------------------------------------------------


def test_rates_of_two_sources_are_never_added_and_the_more_trusted_one_counts():
    found = topology(
        snapshot(witness(MESH, edges=[edge_row(ORDER, PAY, 600, failed=6)])),
        snapshot(
            witness(TRACES, edges=[edge_row(ORDER, PAY, 540, raw=54)], sampling_ratio=0.1), source="traces"
        ),
    )
    pay = edge(found, "order", "payment")
    assert pay.rps == 10
    assert pay.error_ratio == pytest.approx(0.01)
    assert [(e.source, e.rps, e.sampling_ratio) for e in pay.evidence] == [(MESH, 10, 1.0), (TRACES, 9, 0.1)]


def test_a_number_that_the_trusted_source_lacks_comes_from_the_next_one():
    found = topology(
        snapshot(witness(MESH, edges=[edge_row(ORDER, PAY, 600)])),
        snapshot(witness(TRACES, edges=[edge_row(ORDER, PAY, 60, p95=0.5)]), source="traces"),
    )
    assert edge(found, "order", "payment").latency.p95 == pytest.approx(0.5, rel=0.25)


def test_an_unknown_count_is_not_a_number_of_the_source():
    found = topology(
        snapshot(witness(MESH, edges=[edge_row(ORDER, PAY, float("nan"))])),
        snapshot(witness(TRACES, edges=[edge_row(ORDER, PAY, 60)]), source="traces"),
    )
    assert edge(found, "order", "payment").rps == 1


@pytest.mark.parametrize("bad", [float("inf"), float("nan"), -5.0])
def test_impossible_counts_are_unknown_never_zero(bad):
    found = topology(snapshot(witness(SERVER, [node_row(ORDER, bad)])))
    assert node(found, "order").rps is None
    assert node(found, "order").error_ratio is None


def test_several_rows_of_one_party_are_added_and_their_versions_collected():
    rows = [node_row(ORDER, 540, failed=54, version="v42"), node_row(ORDER, 60, failed=60, version="v43")]
    found = node(topology(snapshot(witness(SERVER, rows))), "order")
    assert found.rps == 10
    assert found.error_ratio == pytest.approx(114 / 600)
    assert set(found.versions) == {"v42", "v43"}


def test_two_names_of_one_service_are_one_node():
    kube = kubernetes(Inventory(workloads=(workload("order"),)))
    names = [Identity(name="order"), Identity(name="shop/order"), service("x", workload="order")]
    found = topology(
        snapshot(
            *(
                witness(kind, [node_row(name, 60)])
                for kind, name in zip((MESH, SERVER, TRACES), names, strict=True)
            )
        ),
        kube,
    )
    assert [n.id for n in found.nodes] == ["demo:shop:order"]
    assert found.nodes[0].rps == 1


def test_a_node_counts_what_the_servers_say_and_not_the_sum_of_its_edges():
    found = topology(snapshot(witness(SERVER, [node_row(PAY, 900)], [edge_row(ORDER, PAY, 600)])))
    assert node(found, "payment").rps == 15


def test_an_inferred_node_counts_the_calls_towards_it():
    other = service("cart")
    calls = [
        edge_row(ORDER, DB, 600, failed=60, p95=0.01, protocol="postgresql"),
        edge_row(other, DB, 300, p95=0.01, protocol="postgresql"),
    ]
    found = node(topology(snapshot(witness(CLIENT, edges=calls))), "postgresql@orders-db:5432")
    assert (found.kind, found.rps) == (NodeKind.DATABASE, 15)
    assert found.error_ratio == pytest.approx(60 / 900)
    assert found.latency.p95 == pytest.approx(0.01, rel=0.25)


@pytest.mark.parametrize("word", ["tcp", "db", "", "postgresql", "sql"])
def test_calls_to_a_database_are_one_edge_whatever_the_protocol_is_called(word):
    found = topology(
        snapshot(witness(MESH, edges=[edge_row(ORDER, DB, 600, protocol=word)])),
        snapshot(witness(TRACES, edges=[edge_row(ORDER, DB, 60, protocol="postgresql")]), source="traces"),
    )
    assert [(e.protocol, e.rps) for e in found.edges] == [("postgresql", 10)]


def test_http_and_grpc_between_the_same_services_are_two_edges():
    rows = [edge_row(ORDER, PAY, 60, protocol="http"), edge_row(ORDER, PAY, 120, protocol="grpc")]
    assert {e.protocol: e.rps for e in topology(snapshot(witness(MESH, edges=rows))).edges} == {
        "http": 1,
        "grpc": 2,
    }


def test_an_unnamed_protocol_joins_the_one_known_of_the_pair():
    found = topology(
        snapshot(witness(GRAPH, edges=[edge_row(ORDER, PAY, 600, protocol="")])),
        snapshot(witness(TRACES, edges=[edge_row(ORDER, PAY, 60, protocol="grpc")]), source="traces"),
    )
    assert [(e.protocol, e.rps) for e in found.edges] == [("grpc", 10)]


def test_an_unnamed_protocol_beside_two_known_ones_is_not_counted_twice():
    traced = [edge_row(ORDER, PAY, 60, protocol="grpc"), edge_row(ORDER, PAY, 30, protocol="http")]
    found = topology(
        snapshot(witness(GRAPH, edges=[edge_row(ORDER, PAY, 90, protocol="")])),
        snapshot(witness(TRACES, edges=traced), source="traces"),
    )
    assert sum(e.rps for e in found.edges) == pytest.approx(1.5)


def test_messages_pass_through_a_queue_in_two_asynchronous_halves():
    rows = [
        edge_row(ORDER, TOPIC, 60, protocol="kafka", kind=EdgeKind.ASYNC),
        edge_row(TOPIC, PAY, 60, protocol="messaging", kind=EdgeKind.ASYNC),
    ]
    found = topology(snapshot(witness(TRACES, edges=rows), source="traces"), freshness=[fresh("demo/traces")])
    assert {(e.kind, e.protocol) for e in found.edges} == {(EdgeKind.ASYNC, "messaging")}
    assert node(found, "kafka/orders").kind is NodeKind.QUEUE


def test_witnesses_of_different_windows_are_compared_as_rates():
    wide = witness(SERVER, [node_row(ORDER, 1200)], window=2 * MINUTE)
    assert node(topology(snapshot(wide)), "order").rps == 10


def test_sources_that_disagree_by_more_than_two_are_told():
    found = topology(
        snapshot(witness(MESH, edges=[edge_row(ORDER, PAY, 2400)])),
        snapshot(witness(TRACES, edges=[edge_row(ORDER, PAY, 1000)], sampling_ratio=0.1), source="traces"),
    )
    assert any("disagree" in notice for notice in found.notices)


def test_self_calls_are_kept():
    assert len(topology(snapshot(witness(MESH, edges=[edge_row(ORDER, ORDER, 60)]))).edges) == 1


def test_caller_errors_are_not_failures():
    row = edge_row(ORDER, PAY, 600, failed=0, caller_errors=60)
    found = edge(topology(snapshot(witness(MESH, edges=[row]))), "order", "payment")
    assert (found.error_ratio, found.caller_error_ratio) == (0, pytest.approx(0.1))


# Kubernetes --------------------------------------------------------------------------------------


def test_a_workload_without_traffic_is_a_node_with_replicas_version_and_owner():
    lonely = workload("cron", version="v3", labels=(("app.kubernetes.io/part-of", "batch"),))
    found = node(topology(kubernetes(Inventory(workloads=(lonely,)))), "cron")
    assert (found.replicas.desired, found.replicas.ready) == (2, 2)
    assert (found.versions, found.owner, found.rps) == (("v3",), "batch", None)


def test_the_version_is_that_of_the_newest_revision_and_never_a_label():
    order = workload("order", version="v43", labels=(("version", "v99"), ("app", "order")))
    revisions = (revision(order, "v42", 7, replicas=1), revision(order, "v43", 8, replicas=1))
    found = topology(kubernetes(Inventory(workloads=(order,), revisions=revisions)))
    assert node(found, "order").versions == ("v43", "v42")


def test_scaled_to_zero_is_idle_and_never_healthy():
    gone = workload("order", replicas=0)
    found = node(
        topology(kubernetes(Inventory(workloads=(gone,))), freshness=[fresh("demo/kubernetes")]), "order"
    )
    assert found.health.status is HealthStatus.IDLE
    assert found.health.reasons[0].message == "scaled to zero"


def test_a_workload_nobody_calls_is_idle_while_the_traffic_source_lives():
    found = topology(
        kubernetes(Inventory(workloads=(workload("cron"),))),
        snapshot(witness(SERVER, [node_row(ORDER, 600)])),
    )
    assert node(found, "cron").health.status is HealthStatus.IDLE


def test_a_workload_is_unknown_while_the_traffic_source_was_never_heard():
    found = topology(kubernetes(Inventory(workloads=(workload("cron"),))), freshness=[down(as_of=None)])
    assert node(found, "cron").health.status is HealthStatus.UNKNOWN


def test_kubernetes_alone_judges_by_pods():
    states = [fresh("demo/kubernetes")]
    inventory = Inventory(workloads=(workload("a"), workload("b", available=0, ready=0)))
    found = topology(kubernetes(inventory), freshness=states)
    assert node(found, "a").health.status is HealthStatus.HEALTHY
    assert node(found, "b").health.status is HealthStatus.FAILING
    assert node(found, "b").health.reasons[0].message == "0 of 2 pods are available"


# Staleness ---------------------------------------------------------------------------------------


def seen() -> tuple:
    rows = [node_row(ORDER, 600, p95=0.1), node_row(PAY, 600, p95=0.1)]
    return snapshot(witness(SERVER, rows, [edge_row(ORDER, PAY, 600, p95=0.1)])), built


def test_numbers_of_a_silent_source_are_carried_with_their_age_and_unknown():
    first, _ = seen()
    later = NOON + timedelta(minutes=1)
    found = topology(first, freshness=[down()], now=later)
    for element in (*found.nodes, *found.edges):
        assert element.rps == 10
        assert element.as_of == NOON
        assert element.health.status is HealthStatus.UNKNOWN
        assert "no data from prometheus since 12:00:00 UTC" in element.health.reasons[0].message


def test_a_witness_is_stale_after_two_windows_even_if_its_source_says_nothing():
    first, _ = seen()
    assert node(topology(first, now=NOON + 2 * MINUTE), "order").health.status is HealthStatus.HEALTHY
    old = topology(first, now=NOON + timedelta(seconds=121))
    assert node(old, "order").health.status is HealthStatus.UNKNOWN


def test_one_missed_pull_does_not_blank_the_fleet():
    first, _ = seen()
    found = topology(first, freshness=[down()], now=NOON + timedelta(seconds=6))
    assert node(found, "order").health.status is HealthStatus.HEALTHY


def test_recovery_needs_no_patience():
    first, _ = seen()
    lost = built(first, freshness=[down()], now=NOON + MINUTE)
    again = NOON + MINUTE + timedelta(seconds=5)
    back = snapshot(replace(first.witnesses[0], as_of=again))
    assert node(topology(back, memory=lost.memory, now=again), "order").health.status is HealthStatus.HEALTHY


def test_a_sampled_source_does_not_make_healthy_what_rested_on_a_silent_one():
    traced = snapshot(
        witness(TRACES, [node_row(ORDER, 600, raw=60)], as_of=NOON + MINUTE, sampling_ratio=0.1),
        source="traces",
    )
    first, _ = seen()
    found = topology(first, traced, freshness=[down(), fresh("demo/traces")], now=NOON + MINUTE)
    assert node(found, "order").health.status is HealthStatus.UNKNOWN
    assert node(found, "order").as_of == NOON + MINUTE


def test_the_share_of_requests_looked_at_is_that_of_the_edge_itself():
    rows = [edge_row(ORDER, PAY, 600, raw=6), edge_row(PAY, ORDER, 60, raw=60)]
    found = topology(snapshot(witness(TRACES, edges=rows, sampling_ratio=0.1), source="traces"))
    assert {edge.target: edge.evidence[0].sampling_ratio for edge in found.edges} == {
        "demo:shop:payment": 0.01,
        "demo:shop:order": 1.0,
    }


def test_a_silent_lesser_source_spoils_nothing():
    traced = snapshot(witness(TRACES, [node_row(ORDER, 60)], as_of=NOON - 5 * MINUTE), source="traces")
    first, _ = seen()
    assert node(topology(first, traced), "order").health.status is HealthStatus.HEALTHY


def test_yesterdays_snapshot_is_forgotten():
    first, _ = seen()
    assert topology(first, now=NOON + timedelta(hours=25)).nodes == ()


# Memory ------------------------------------------------------------------------------------------


def run(steps, memory=None):
    """Evaluate rows of one moment after the other; answers the last assembly."""
    found = None
    for now, rows, edges in steps:
        found = built(snapshot(witness(SERVER, rows, edges, as_of=now)), memory=memory, now=now)
        memory = found.memory
    return found


def test_an_edge_without_traffic_is_zero_and_turns_idle_after_five_minutes():
    rows = [node_row(ORDER, 600), node_row(PAY, 600)]
    before = run([(NOON, rows, [edge_row(ORDER, PAY, 600)])])
    soon = run([(NOON + MINUTE, rows, [])], before.memory)
    assert edge(soon.topology, "order", "payment").rps == 0
    assert edge(soon.topology, "order", "payment").error_ratio is None
    assert edge(soon.topology, "order", "payment").health.status is HealthStatus.HEALTHY
    later = run([(NOON + 6 * MINUTE, rows, [])], soon.memory)
    assert edge(later.topology, "order", "payment").health.status is HealthStatus.IDLE
    assert (
        edge(later.topology, "order", "payment").health.reasons[0].message == "no traffic since 12:00:00 UTC"
    )


def test_what_was_not_seen_for_a_day_leaves_the_map():
    rows = [node_row(ORDER, 600)]
    before = run([(NOON, [*rows, node_row(PAY, 600)], [edge_row(ORDER, PAY, 600)])])
    after = run([(NOON + timedelta(hours=23), rows, [])], before.memory)
    assert {n.name for n in after.topology.nodes} == {"order", "payment"}
    gone = run([(NOON + timedelta(hours=25), rows, [])], after.memory)
    assert {n.name for n in gone.topology.nodes} == {"order"}
    assert gone.topology.edges == ()


def test_a_service_that_only_calls_others_is_kept_as_well():
    before = run([(NOON, [node_row(PAY, 600)], [edge_row(ORDER, PAY, 600)])])
    after = run([(NOON + timedelta(minutes=10), [node_row(PAY, 600)], [])], before.memory)
    assert {n.name for n in after.topology.nodes} == {"order", "payment"}


def test_a_better_known_name_leaves_no_ghost_behind():
    before = built(snapshot(witness(SERVER, [node_row(Identity(name="order"), 600)])))
    external = Identity(kind=NodeKind.EXTERNAL, address="payment:8080")
    before = built(
        snapshot(
            witness(
                SERVER,
                [node_row(Identity(name="order"), 600)],
                [edge_row(Identity(name="order"), external, 60)],
            )
        ),
        memory=before.memory,
    )
    assert {n.id for n in before.topology.nodes} == {"demo:-:order", "demo:~external:payment:8080"}
    now = NOON + MINUTE
    inventory = Inventory(
        workloads=(workload("order"), workload("payment")), services=(kube_service("payment"),)
    )
    found = built(
        snapshot(witness(SERVER, [node_row(Identity(name="order"), 600)], as_of=now)),
        kubernetes(inventory, as_of=now),
        memory=before.memory,
        now=now,
    ).topology
    assert {n.id for n in found.nodes} == {"demo:shop:order", "demo:shop:payment"}


def test_a_deleted_workload_leaves_once_its_traffic_has_ended():
    inventory = Inventory(workloads=(workload("order"), workload("payment")))
    before = built(
        snapshot(witness(SERVER, [node_row(ORDER, 600), node_row(PAY, 600)])), kubernetes(inventory)
    )
    now = NOON + 6 * MINUTE
    after = built(
        snapshot(witness(SERVER, [node_row(ORDER, 600)], as_of=now)),
        kubernetes(Inventory(workloads=(workload("order"),)), as_of=now),
        memory=before.memory,
        now=now,
    )
    assert [n.name for n in after.topology.nodes] == ["order"]


# The whole ---------------------------------------------------------------------------------------


def test_lists_are_worst_first():
    rows = [node_row(ORDER, 600), node_row(PAY, 600, failed=300), node_row(service("a"), 900)]
    found = topology(snapshot(witness(SERVER, rows)))
    assert [n.name for n in found.nodes] == ["payment", "a", "order"]


def test_an_empty_fleet_is_an_empty_topology():
    assert topology(freshness=()).nodes == ()
    assert topology(snapshot(witness(SERVER))).nodes == ()


def test_assemble_answers_topology_and_memory():
    found, memory = assemble(
        "demo",
        [snapshot(witness(SERVER, [node_row(ORDER, 60)]))],
        [fresh()],
        Resolver("demo", (), None),
        None,
        {},
        NOON,
    )
    assert (found.window, len(found.nodes), type(memory)) == (MINUTE, 1, bytes)


def test_the_same_input_gives_the_same_topology():
    rng = np.random.default_rng(7)
    services = [service(f"s{i}") for i in range(20)]
    rows = [edge_row(services[a], services[b], 60) for a, b in rng.integers(0, 20, (60, 2)).tolist()]
    one, other = (built(snapshot(witness(MESH, edges=rows))) for _ in range(2))
    assert one.topology == other.topology
    assert one.memory == other.memory


def test_an_old_latency_is_not_shown_beside_a_fresh_rate():
    now = NOON + 5 * MINUTE
    old = snapshot(witness(MESH, edges=[edge_row(ORDER, PAY, 600, p95=0.5)]))
    new = snapshot(witness(TRACES, edges=[edge_row(ORDER, PAY, 60)], as_of=now), source="traces")
    found = edge(topology(old, new, now=now), "order", "payment")
    assert (found.rps, found.as_of, found.latency.p95) == (1, now, None)


def test_the_latency_of_a_silent_source_is_carried_with_its_rate():
    old = snapshot(witness(MESH, edges=[edge_row(ORDER, PAY, 600, p95=0.5)]))
    found = edge(topology(old, freshness=[down()], now=NOON + 5 * MINUTE), "order", "payment")
    assert (found.rps, found.latency.p95) == (10, pytest.approx(0.5, rel=0.25))
