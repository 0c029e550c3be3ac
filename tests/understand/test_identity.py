from __future__ import annotations

from dataclasses import dataclass

import pytest

from app.config.settings import HostRule
from app.model.fleet import Identity, NodeKind
from app.model.inventory import Inventory
from app.understand.identity import Resolver
from tests.support.fleets import database, kube_service, pod, queue, revision, service, workload

ORDER = workload("order")
ORDER_RS = revision(ORDER, "v2", 7, replicas=2)
ORDER_POD = pod(ORDER, 3, rs=ORDER_RS)
SHOP = Inventory(
    workloads=(ORDER, workload("payment"), workload("ledger", "bank")),
    revisions=(ORDER_RS,),
    pods=(ORDER_POD, pod(workload("payment"), 8, host_network=True, ip="10.9.9.9")),
    services=(
        kube_service("order", cluster_ip="10.96.0.7"),
        kube_service("pay", cluster_ip="10.96.0.8", app="payment"),
        kube_service("ledger", "bank"),
    ),
)


@dataclass(frozen=True)
class Rule:
    match: dict[str, str]
    service: str
    namespace: str | None = None


def resolver(inventory: Inventory | None = SHOP, *rules: Rule) -> Resolver:
    return Resolver("demo", rules, inventory)


@pytest.mark.parametrize(
    ("identity", "matched_by"),
    [
        (Identity(name="anything", pod_uid=ORDER_POD.uid), "pod uid"),
        (Identity(name="x", namespace="shop", workload="order"), "workload"),
        (Identity(name="x", namespace="shop", pod=ORDER_POD.name), "pod name"),
        (Identity(pod=ORDER_POD.name, namespace="shop"), "pod name"),
        (Identity(name="order", namespace="shop"), "service name = workload"),
        (Identity(name="shop/order"), "service name = workload"),
        (Identity(name="order"), "service name = workload, unique in the cluster"),
        (Identity(name="order", namespace="e-commerce"), "service name = workload, unique in the cluster"),
        (Identity(kind=NodeKind.EXTERNAL, address="order.shop.svc.cluster.local:8080"), "server not traced"),
        (Identity(kind=NodeKind.EXTERNAL, address="order.shop:8080"), "server not traced"),
        (Identity(kind=NodeKind.EXTERNAL, address="order:8080"), "server not traced"),
        (Identity(kind=NodeKind.EXTERNAL, address="10.96.0.7:80"), "server not traced"),
        (Identity(kind=NodeKind.EXTERNAL, address=f"{ORDER_POD.ip}:8080"), "server not traced"),
        (Identity(kind=NodeKind.EXTERNAL, address="1.2.3.4:80", alias="order"), ""),
    ],
)
def test_every_name_of_a_service_is_one_node_and_says_how_it_was_found(identity, matched_by):
    found = resolver()
    found.learn([Identity(name="order", namespace="shop"), identity])
    party = found.node(identity)
    assert party.id == "demo:shop:order"
    assert party.workload == ("Deployment", "order")
    assert matched_by in party.matched_by


def test_a_kubernetes_service_of_another_name_leads_to_its_workload():
    assert (
        resolver().node(Identity(kind=NodeKind.EXTERNAL, address="pay.shop.svc:80")).id == "demo:shop:payment"
    )
    assert resolver().node(service("pay")).id == "demo:shop:payment"


def test_the_address_of_a_host_network_pod_is_nobody():
    party = resolver().node(Identity(kind=NodeKind.EXTERNAL, address="10.9.9.9:8080"))
    assert party.kind is NodeKind.EXTERNAL


def test_a_cluster_dns_name_is_a_service_even_without_kubernetes():
    found = resolver(None)
    assert (
        found.node(Identity(kind=NodeKind.EXTERNAL, address="pay.shop.svc.cluster.local")).id
        == "demo:shop:pay"
    )


def test_two_labels_alone_are_not_taken_for_a_cluster_name():
    assert resolver().node(Identity(kind=NodeKind.EXTERNAL, address="example.com:443")).id == (
        "demo:~external:example.com:443"
    )


def test_a_bare_name_joins_the_only_service_of_that_name():
    found = resolver(None)
    found.learn([Identity(name="cart"), service("cart")])
    assert found.node(Identity(name="cart")).id == "demo:shop:cart"


def test_a_bare_name_that_two_namespaces_have_stays_alone():
    found = resolver(None)
    found.learn([Identity(name="cart"), service("cart", "a"), service("cart", "b")])
    assert found.node(Identity(name="cart")).id == "demo:-:cart"


def test_a_service_without_workload_is_a_node_of_its_own():
    party = resolver().node(Identity(name="legacy", namespace="vm"))
    assert (party.id, party.workload) == ("demo:vm:legacy", None)
    assert "no workload" in party.matched_by


def test_rules_of_the_configuration_come_first_and_may_use_groups():
    found = resolver(SHOP, Rule({"name": "(.+)-v[0-9]+", "namespace": "old"}, "$1", "shop"))
    assert found.node(Identity(name="order-v2", namespace="old")).id == "demo:shop:order"
    assert found.node(Identity(name="order-v2", namespace="new")).id == "demo:new:order-v2"


def test_hosts_that_fit_a_pattern_are_one_node_without_port_or_other_names():
    found = resolver(SHOP, HostRule(match=r"(.+)\.s3\.amazonaws\.com", name="s3.amazonaws.com"))
    hosts = [
        Identity(kind=NodeKind.EXTERNAL, address="logs.s3.amazonaws.com:443"),
        Identity(kind=NodeKind.EXTERNAL, address="Media.s3.amazonaws.com", name="cart", alias="cart"),
    ]
    assert {found.node(host).id for host in hosts} == {"demo:~external:s3.amazonaws.com"}
    assert (
        found.node(Identity(kind=NodeKind.EXTERNAL, address="s3.example")).id == "demo:~external:s3.example"
    )


def test_databases_outside_the_fleet_are_grouped_with_engine_and_port():
    found = resolver(SHOP, HostRule(match=r".+\.(\w+)\.rds\.amazonaws\.com", name="rds $1"))
    ids = {
        found.node(database("postgresql", f"{tenant}.eu1.rds.amazonaws.com:5432")).id
        for tenant in ("t1", "t2")
    }
    assert ids == {"demo:~database:postgresql@rds eu1:5432"}


def test_a_name_longer_than_any_host_is_not_searched_for_patterns():
    found = resolver(SHOP, HostRule(match=r"(.*)(.*)(.*)(.*)(.*)(.*)x", name="never"))
    address = "a" * 500
    assert "never" not in found.node(Identity(kind=NodeKind.EXTERNAL, address=address)).id


@pytest.mark.parametrize(
    "address",
    [
        "orders-db:5432",
        "orders-db",
        "orders-db.shop:5432",
        "orders-db.shop.svc.cluster.local:5432",
        "10.96.0.20:5432",
    ],
)
def test_a_database_has_one_node_whatever_its_callers_call_it(address):
    known = Inventory(services=(kube_service("orders-db", cluster_ip="10.96.0.20"),))
    assert (
        resolver(known).node(database("postgresql", address)).id == "demo:~database:postgresql@orders-db:5432"
    )


def test_databases_of_one_name_in_two_namespaces_are_two():
    known = Inventory(services=(kube_service("db", "a"), kube_service("db", "b")))
    found = resolver(known)
    ids = {found.node(database("mysql", f"db.{namespace}.svc:3306")).id for namespace in "ab"}
    assert ids == {"demo:~database:mysql@db.a:3306", "demo:~database:mysql@db.b:3306"}


def test_two_ports_of_one_host_are_two_databases():
    found = resolver()
    assert (
        found.node(database("postgresql", "pg:5432")).id != found.node(database("postgresql", "pg:5433")).id
    )


def test_a_database_that_runs_in_the_cluster_is_one_node_with_its_workload():
    known = Inventory(workloads=(workload("orders-db"),), services=(kube_service("orders-db"),))
    found = resolver(known)
    found.learn([service("orders-db"), database("postgresql", "orders-db:5432")])
    assert found.node(service("orders-db")).id == "demo:~database:postgresql@orders-db:5432"
    assert found.of_workload(known.workloads[0]).workload == ("Deployment", "orders-db")


def test_the_address_of_a_databases_pod_is_the_database():
    pg = workload("pg")
    known = Inventory(workloads=(pg,), pods=(pod(pg, 4),), services=(kube_service("orders-db", app="pg"),))
    ids = {
        resolver(known).node(database("postgresql", host)).id for host in (pod(pg, 4).ip, "orders-db:5432")
    }
    assert ids == {"demo:~database:postgresql@orders-db:5432"}


def test_a_database_of_unnamed_engine_is_the_only_one_known_at_that_host():
    found = resolver(None)
    nameless, named = database("", "orders-db"), database("postgresql", "orders-db:5432")
    found.learn([nameless, service("orders-db"), named])
    assert {found.node(one).id for one in (nameless, named, service("orders-db"))} == {
        "demo:~database:postgresql@orders-db:5432"
    }


def test_caches_have_their_own_kind():
    assert resolver().node(database("redis", "redis:6379")).id == "demo:~cache:redis@redis:6379"


def test_a_database_without_its_port_is_the_only_one_of_its_engine_at_that_host():
    full, short = database("postgresql", "orders-db:5433"), database("postgresql", "orders-db")
    known = resolver()
    known.learn([short, database("redis", "orders-db:6379"), full])
    assert known.node(short).id == known.node(full).id == "demo:~database:postgresql@orders-db:5433"
    assert resolver().node(short).id == "demo:~database:postgresql@orders-db:5432"


@pytest.mark.parametrize(("old", "new"), [("mssql", "microsoft.sql_server"), ("postgres", "postgresql")])
def test_old_engine_names_are_the_new_ones(old, new):
    assert resolver().node(database(old, "h:1")).id == f"demo:~database:{new}@h:1"


def test_a_database_without_address_is_private_to_its_caller():
    found = resolver()
    one, other = (found.node(database("postgresql", "", scope=f"shop/{caller}")) for caller in ("a", "b"))
    assert one.id != other.id
    assert one.name == "postgresql (address unknown) ← shop/a"


@pytest.mark.parametrize("address", ["localhost:5432", "127.0.0.1:5432", "[::1]:5432"])
def test_loopback_means_another_thing_for_each_caller(address):
    found = resolver()
    assert found.node(database("postgresql", address, scope="a")).id != (
        found.node(database("postgresql", address, scope="b")).id
    )


def test_a_queue_is_system_and_destination():
    assert resolver().node(queue("orders")).id == "demo:~queue:kafka/orders"


def test_an_unknown_address_on_a_well_known_port_is_that_engine():
    party = resolver().node(Identity(kind=NodeKind.EXTERNAL, address="192.0.2.7:6379"))
    assert (party.id, party.matched_by) == ("demo:~cache:redis@192.0.2.7:6379", "well-known port 6379")


def test_the_client_outside_every_trace_is_a_client():
    assert resolver().node(Identity(kind=NodeKind.CLIENT, name="user")).id == "demo:~client:user"


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "a\x00b\nc",
    "a>b",
    "~database:x",
    "x" * 5000,
    "ns:name",
    "\ud800",
    "😀" * 300,
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", [NodeKind.SERVICE, NodeKind.DATABASE, NodeKind.QUEUE, NodeKind.EXTERNAL])
def test_hostile_names_make_harmless_ids_and_keep_their_display_name(name, kind):
    party = resolver().node(
        Identity(
            name=name,
            kind=kind,
            engine="postgresql" if kind is NodeKind.DATABASE else "",
            address=name,
            destination=name,
        )
    )
    assert ">" not in party.id
    assert party.id.isprintable()
    assert len(party.id) < 700
    party.id.encode()
    assert party.name.encode()
    assert len(party.name) <= 600


def test_names_that_differ_only_in_forbidden_characters_stay_different():
    found = resolver(None)
    ids = {found.node(service(name)).id for name in ("a>b", "a:b", "a\x00b", "a_b")}
    assert len(ids) == 4


def test_a_service_cannot_pose_as_an_inferred_node():
    assert resolver(None).node(service("postgresql@db", "~database")).id != "demo:~database:postgresql@db"
