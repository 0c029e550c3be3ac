"""The Kubernetes collector against an API that misbehaves on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.clock import now
from app.config import Kubernetes
from app.errors import SourceError, SourceRefused, SourceUnavailable
from app.model.fleet import Snapshot
from app.model.inventory import Inventory
from app.model.series import Window
from collectors.kube_kinds import KINDS
from collectors.kube_watch import Pace
from collectors.kubernetes import KubernetesCollector
from tests.support.fake_kubernetes import FakeKubernetes, a_deployment
from tests.support.until import until

QUICK = Pace(first=0.01, longest=0.05, idle=5.0)
Start = Callable[..., KubernetesCollector]


@pytest.fixture
def fake() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as server:
        server.put("deployments", "order", **a_deployment())
        yield server


@pytest.fixture
def start(fake: FakeKubernetes, tmp_path: Path) -> Iterator[Start]:
    made: list[KubernetesCollector] = []

    def begin(*, pace: Pace = QUICK, namespace: str = "", **settings: Any) -> KubernetesCollector:
        kubeconfig = fake.kubeconfig(tmp_path, namespace=namespace)
        made.append(KubernetesCollector("c1", Kubernetes(kubeconfig=kubeconfig, **settings), pace=pace))
        made[-1].start()
        return made[-1]

    yield begin
    for collector in made:
        collector.close()


def _pull(collector: KubernetesCollector) -> Snapshot:
    moment = now()
    return collector.pull(Window(moment - timedelta(minutes=1), moment))


def _inventory(collector: KubernetesCollector) -> Inventory:
    found = _pull(collector).inventory
    assert found is not None
    return found


def _synced(collector: KubernetesCollector) -> Inventory:
    until(lambda: all(synced for _, _, synced in _inventory(collector).kinds))
    return _inventory(collector)


def _error(
    collector: KubernetesCollector, kind: type[SourceError] = SourceUnavailable, words: str = ""
) -> str:
    """The sentence of the first error of this kind that holds these words."""

    def ask() -> str:
        try:
            _pull(collector)
        except kind as error:
            return str(error) if words in str(error) else ""
        return ""

    return until(ask)


def test_what_is_listed_is_in_the_inventory_and_every_kind_is_synced(
    fake: FakeKubernetes, start: Start
) -> None:
    inventory = _synced(start())
    assert [(w.kind, w.namespace, w.name, w.desired, w.ready) for w in inventory.workloads] == [
        ("Deployment", "shop", "order", 2, 2)
    ]
    assert {kind for kind, _, _ in inventory.kinds} == {kind.name for kind in KINDS}


def test_lists_are_paged_and_the_watch_begins_at_the_lists_position(
    fake: FakeKubernetes, start: Start
) -> None:
    for i in range(1201):
        fake.put("pods", f"p{i}")
    inventory = _synced(start())
    assert len(inventory.pods) == 1201
    assert [r.params.get("continue") for r in fake.lists("pods")] == [None, "500", "1000"]
    assert {r.params["limit"] for r in fake.lists("pods")} == {"500"}
    watch = until(lambda: fake.watches("pods"))[0]
    assert watch.params["resourceVersion"] == str(fake.version)
    assert watch.params["allowWatchBookmarks"] == "true"
    assert 240 <= int(watch.params["timeoutSeconds"]) <= 360


def test_changes_arrive_without_another_list(fake: FakeKubernetes, start: Start) -> None:
    collector = start()
    _synced(collector)
    fake.put("deployments", "order", **a_deployment(replicas=5))
    fake.put("deployments", "cart", **a_deployment())
    until(
        lambda: {(w.name, w.desired) for w in _inventory(collector).workloads} == {("order", 5), ("cart", 2)}
    )
    fake.delete("deployments", "order")
    until(lambda: [w.name for w in _inventory(collector).workloads] == ["cart"])
    assert len(fake.lists("deployments")) == 1


def test_a_pull_without_changes_hands_out_the_same_tuples(fake: FakeKubernetes, start: Start) -> None:
    collector = start()
    _synced(collector)
    first, second = _inventory(collector), _inventory(collector)
    assert first.workloads is second.workloads
    assert first.services is second.services
    fake.put("deployments", "order", **a_deployment(replicas=3))
    until(lambda: _inventory(collector).workloads[0].desired == 3)
    assert _inventory(collector).pods is first.pods


def test_a_bookmark_moves_the_position_and_touches_no_object(fake: FakeKubernetes, start: Start) -> None:
    collector = start()
    before = _synced(collector).workloads
    until(lambda: fake.open["deployments"])
    position = fake.bookmark("deployments", spec={"replicas": 0, "template": {"spec": {"containers": None}}})
    fake.end_streams()
    until(lambda: [r for r in fake.watches("deployments") if r.params["resourceVersion"] == str(position)])
    assert _inventory(collector).workloads == before


def test_after_410_it_lists_again_and_what_is_gone_is_gone(fake: FakeKubernetes, start: Start) -> None:
    fake.put("deployments", "old", **a_deployment())
    collector = start()
    _synced(collector)
    until(lambda: fake.open["deployments"])
    fake.forget("deployments", "old")
    until(lambda: [w.name for w in _inventory(collector).workloads] == ["order"])
    assert len(fake.lists("deployments")) >= 2


def test_a_410_as_an_answer_to_a_list_starts_over(fake: FakeKubernetes, start: Start) -> None:
    fake.refuse("/deployments", 410)
    collector = start()
    until(lambda: len(fake.lists("deployments")) >= 2)
    fake.allow("/deployments")
    assert _synced(collector).workloads


def test_a_half_open_stream_is_noticed_by_its_silence(fake: FakeKubernetes, start: Start) -> None:
    collector = start(pace=Pace(first=0.01, longest=0.05, idle=0.2))
    _synced(collector)
    fake.server.hang()
    fake.end_streams()
    assert _error(collector, words="silent for too long")
    fake.server.release()
    until(lambda: _inventory(collector).workloads)


def test_a_server_that_goes_away_is_unavailable_with_the_age_of_the_oldest_word_and_comes_back(
    fake: FakeKubernetes, start: Start
) -> None:
    collector = start()
    _synced(collector)
    fake.server.down()
    assert _error(collector, words="the oldest word, on ")
    fake.server.up()
    fake.put("deployments", "new", **a_deployment())
    until(lambda: {w.name for w in _inventory(collector).workloads} == {"order", "new"})


def test_one_bad_object_in_a_list_is_counted_and_the_rest_is_read(fake: FakeKubernetes, start: Start) -> None:
    fake.put("deployments", "bad", spec={"replicas": "many"})
    collector = start()
    inventory = _synced(collector)
    assert [w.name for w in inventory.workloads] == ["order"]
    assert any("1 objects could not be read" in n for n in _pull(collector).notices)


def test_one_bad_object_in_a_stream_is_counted_and_the_stream_goes_on(
    fake: FakeKubernetes, start: Start
) -> None:
    collector = start()
    _synced(collector)
    fake.line("deployments", b'{"type":"MODIFIED","object":{"metadata":{"name":7}}}')
    fake.put("deployments", "cart", **a_deployment())
    until(lambda: len(_inventory(collector).workloads) == 2)
    assert any("could not be read" in notice for notice in _pull(collector).notices)
    assert len(fake.lists("deployments")) == 1


@pytest.mark.parametrize("line", [b"not json", b'{"type": 5}', b"[]"])
def test_a_line_that_is_no_event_ends_the_stream_and_the_watch_resumes(
    fake: FakeKubernetes, start: Start, line: bytes
) -> None:
    collector = start()
    _synced(collector)
    until(lambda: fake.open["deployments"])
    fake.line("deployments", line)
    fake.put("deployments", "cart", **a_deployment())
    fake.end_streams()
    fake.objects["deployments"][("shop", "late")] = fake.put("deployments", "late", **a_deployment())
    until(lambda: len(fake.watches("deployments")) >= 2)


def test_a_list_that_is_no_list_never_empties_the_inventory(fake: FakeKubernetes, start: Start) -> None:
    collector = start()
    _synced(collector)
    fake.refuse("/deployments", 200, b'{"kind":"Whatever"}', lists_only=True)
    fake.forget("deployments", "order")
    until(lambda: any("is none" in notice for notice in _pull(collector).notices))
    assert [w.name for w in _inventory(collector).workloads] == ["order"]


def test_a_refused_token_is_refused_not_down(fake: FakeKubernetes, start: Start) -> None:
    for kind in KINDS:
        fake.refuse(f"/{kind.plural}", 401)
    assert "renew" in _error(start(), SourceRefused)


def test_a_kind_that_is_forbidden_is_a_notice_and_the_others_are_watched(
    fake: FakeKubernetes, start: Start
) -> None:
    fake.refuse("/poddisruptionbudgets", 403)
    collector = start()
    until(lambda: _inventory(collector).workloads)
    until(lambda: any(n.startswith("PodDisruptionBudget:") for n in _pull(collector).notices))


def test_forbidden_in_the_whole_cluster_means_the_accounts_own_namespace(
    fake: FakeKubernetes, start: Start
) -> None:
    for kind in KINDS:
        fake.refuse(f"{kind.api}/{kind.plural}", 403)
    fake.put("deployments", "elsewhere", namespace="other", **a_deployment())
    collector = start(namespace="shop")
    until(lambda: [w.name for w in _inventory(collector).workloads] == ["order"])
    until(lambda: any("only namespace shop is watched" in n for n in _pull(collector).notices))


def test_only_configured_namespaces_are_asked_for(fake: FakeKubernetes, start: Start) -> None:
    fake.put("deployments", "pay", namespace="payments", **a_deployment())
    fake.put("deployments", "elsewhere", namespace="other", **a_deployment())
    collector = start(namespaces=("shop", "payments"))
    assert {w.name for w in _synced(collector).workloads} == {"order", "pay"}
    assert {r.path for r in fake.lists("deployments")} == {
        f"/apis/apps/v1/namespaces/{name}/deployments" for name in ("shop", "payments")
    }


def test_a_configured_namespace_that_does_not_exist_is_said(fake: FakeKubernetes, start: Start) -> None:
    collector = start(namespaces=("shop", "shpo"))
    until(lambda: "namespace shpo does not exist: correct the configuration" in _pull(collector).notices)
    assert not any("namespace shop does not exist" in notice for notice in _pull(collector).notices)


def test_literal_environment_values_and_the_applied_manifest_are_never_kept(
    fake: FakeKubernetes, start: Start
) -> None:
    applied = {"kubectl.kubernetes.io/last-applied-configuration": "hunter2", "team": "pay"}
    fake.put("deployments", "order", metadata={"annotations": applied}, **a_deployment())
    inventory = _synced(start())
    assert inventory.workloads[0].annotations == (("team", "pay"),)
    assert "hunter2" not in repr(inventory)


def test_ready_addresses_of_slices_stand_with_their_service(fake: FakeKubernetes, start: Start) -> None:
    fake.put("services", "order", spec={"clusterIP": "10.0.0.7", "ports": [{"port": 80}]})
    endpoints = [
        {"addresses": ["10.1.0.1"], "conditions": {"ready": True}},
        {"addresses": ["10.1.0.2"], "conditions": {"ready": False}},
    ]
    fake.put(
        "endpointslices",
        "order-x",
        metadata={"labels": {"kubernetes.io/service-name": "order"}},
        endpoints=endpoints,
    )
    service = _synced(start()).services[0]
    assert (service.name, service.addresses) == ("order", ("10.1.0.1",))


def test_before_the_watches_run_there_is_nothing_to_hand_out(fake: FakeKubernetes, tmp_path: Path) -> None:
    collector = KubernetesCollector("c1", Kubernetes(kubeconfig=fake.kubeconfig(tmp_path)))
    with pytest.raises(SourceUnavailable, match="not watched"):
        _pull(collector)
    collector.close()


def test_a_kubeconfig_that_is_not_there_is_a_state_not_a_crash(tmp_path: Path) -> None:
    collector = KubernetesCollector("c1", Kubernetes(kubeconfig=tmp_path / "nope"), pace=QUICK)
    collector.start()
    assert _error(collector, words="cannot be used")
    collector.close()


def test_the_token_travels_with_lists_and_watches(fake: FakeKubernetes, start: Start) -> None:
    _synced(start())
    until(lambda: fake.watches("deployments"))
    assert {r.headers.get("authorization") for r in fake.server.requests} == {"Bearer t0ken"}


def test_waits_double_up_to_a_minute_and_half_of_each_is_chance() -> None:
    class Highest:
        def uniform(self, _low: float, high: float) -> float:
            return high

    pace = Pace()
    assert [pace.delay(n, Highest()) for n in (1, 2, 3, 7, 50)] == [1, 2, 4, 60, 60]  # type: ignore[arg-type]


def test_closing_twice_is_fine_and_ends_the_threads(fake: FakeKubernetes, start: Start) -> None:
    collector = start()
    _synced(collector)
    threads = list(collector._threads)
    collector.close()
    collector.close()
    until(lambda: not any(thread.is_alive() for thread in threads))


def test_the_freshness_of_a_silent_kind_stands_still_while_others_move_on(
    fake: FakeKubernetes, start: Start
) -> None:
    collector = start()
    _synced(collector)
    fake.refuse("/pods", 500)
    fake.end_streams()
    until(lambda: any(n.startswith("Pod:") for n in _pull(collector).notices))
    heard = {kind: moment for kind, moment, _ in _inventory(collector).kinds}
    until(
        lambda: (
            {k: m for k, m, _ in _inventory(collector).kinds}["Deployment"] != heard["Deployment"]
            or fake.bookmark("deployments") * 0
        )
    )
    assert {k: m for k, m, _ in _inventory(collector).kinds}["Pod"] == heard["Pod"]
