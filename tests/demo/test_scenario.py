"""Each scenario hurts visibly, and the cure that its sentence names cures it."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from app import clock
from demo.loop import Loop
from demo.scenario import KINDS, Director, ScenarioImpossible, ScenarioState, UnknownScenario
from demo.traces import Tracer
from tests.support.demo_figures import figures_of, run
from tests.support.demo_pods import make_fleet

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def _quiet():
    fleet, pods = make_fleet()
    director = Director(fleet, pods)
    run(fleet, director, 10)
    return fleet, pods, director


@pytest.mark.parametrize(("seed", "hour"), [(1, 0), (2, 4), (3, 8), (4, 14), (5, 20), (6, 23)])
def test_a_traffic_surge_first_slows_order_then_breaks_it_and_six_replicas_cure_it(seed, hour):
    fleet, pods = make_fleet(seed=seed)
    fleet.moment += hour * 3600
    director = Director(fleet, pods)
    run(fleet, director, 10)
    before = figures_of(fleet, "order")
    director.start("traffic-surge")
    run(fleet, director, 12)
    slow = figures_of(fleet, "order")
    assert 1.6 * before.p95 < slow.p95 < 2.9 * before.p95
    assert slow.errors < 0.005
    run(fleet, director, 12)
    assert figures_of(fleet, "order").p95 > 3 * before.p95
    counted = fleet.ledger.served.sum()
    run(fleet, director, 20)
    assert figures_of(fleet, "order").errors > 0.15
    assert figures_of(fleet, "gateway").errors > 0.05
    assert fleet.ledger.served.sum() - counted > 1000
    pods.scale("order", 6)
    run(fleet, director, 20)
    after = figures_of(fleet, "order")
    assert after.errors < 0.005
    assert after.p95 < 1.5 * before.p95


def test_a_surge_that_ends_leaves_a_healthy_fleet():
    fleet, _, director = _quiet()
    director.start("traffic-surge")
    run(fleet, director, 30)
    director.end()
    run(fleet, director, 15)
    assert figures_of(fleet, "order").errors < 0.005


def test_a_bad_deploy_fails_payment_and_its_callers_and_a_rollback_cures_it():
    fleet, pods, director = _quiet()
    slow = figures_of(fleet, "payment").p95
    director.start("bad-deploy")
    run(fleet, director, 10)
    assert figures_of(fleet, "payment").errors > 0.2
    assert figures_of(fleet, "payment").p95 > slow * 1.15
    assert figures_of(fleet, "order").errors > 0.1
    pods.deploy("shop", "payment", "4.1.2")
    run(fleet, director, 10)
    assert figures_of(fleet, "payment").errors < 0.005
    assert figures_of(fleet, "order").errors < 0.005


def test_more_replicas_of_a_bad_release_do_not_help():
    fleet, pods, director = _quiet()
    director.start("bad-deploy")
    pods.scale("payment", 8)
    run(fleet, director, 10)
    assert figures_of(fleet, "payment").errors > 0.2


def test_ending_a_bad_deploy_releases_the_version_before():
    fleet, pods, director = _quiet()
    director.start("bad-deploy")
    run(fleet, director, 5)
    director.end()
    assert {p.version for p in pods.pods("shop", "payment")} == {"4.1.2"}


def test_a_slow_database_slows_its_callers_until_it_ends():
    fleet, _, director = _quiet()
    before = figures_of(fleet, "order")
    director.start("slow-database")
    run(fleet, director, 10)
    assert figures_of(fleet, "order").p95 > 3 * before.p95
    assert figures_of(fleet, "gateway").p95 > 3 * before.p95
    assert figures_of(fleet, "search").p95 < 0.1
    director.end()
    run(fleet, director, 10)
    assert figures_of(fleet, "order").p95 < 1.2 * before.p95


def test_a_lost_node_fails_requests_until_its_pods_run_elsewhere():
    fleet, pods, director = _quiet()
    director.start("node-loss")
    run(fleet, director, 10)
    assert figures_of(fleet, "gateway").errors > 0.1
    (lost,) = fleet.faults.lost_nodes
    pods.evict(lost)
    run(fleet, director, 15)
    assert figures_of(fleet, "gateway").errors < 0.005


def test_a_retry_storm_outlasts_its_cause_and_more_replicas_cure_it():
    fleet, pods, director = _quiet()
    rate = figures_of(fleet, "inventory").rate
    director.start("retry-storm")
    run(fleet, director, 60)
    assert figures_of(fleet, "inventory").rate > 3 * rate
    assert figures_of(fleet, "inventory").errors > 0.3
    pods.scale("inventory", 6)
    run(fleet, director, 20)
    assert figures_of(fleet, "inventory").errors < 0.005
    assert figures_of(fleet, "inventory").rate < 1.1 * rate


def test_a_slow_consumer_piles_up_messages_and_more_replicas_work_them_off():
    fleet, pods, director = _quiet()
    director.start("queue-backlog")
    run(fleet, director, 60)
    consumer = [fleet.plan.catalog.endpoints[e].service for e in fleet.plan.consumers].index("notification")
    grown = fleet.state.lag[consumer]
    assert grown > 300
    pods.scale("notification", 6)
    run(fleet, director, 60)
    assert fleet.state.lag[consumer] < grown / 10


def test_a_scheduled_scenario_waits_sixty_seconds():
    _, _, director = _quiet()
    with clock.frozen_at(NOON):
        director.schedule("traffic-surge")
        director.tick()
    assert director.state is ScenarioState.WAITING
    with clock.frozen_at(NOON + timedelta(seconds=59)):
        director.tick()
    assert director.state is ScenarioState.WAITING
    with clock.frozen_at(NOON + timedelta(seconds=60)):
        director.tick()
    assert director.state is ScenarioState.RUNNING
    assert director.said()["onset"] == "2026-11-23T12:01:00Z"


def test_starting_another_scenario_ends_the_first():
    fleet, pods, director = _quiet()
    director.start("bad-deploy")
    director.start("slow-database")
    run(fleet, director, 10)
    assert director.name == "slow-database"
    assert {p.version for p in pods.pods("shop", "payment")} == {"4.1.2"}


def test_an_unknown_scenario_names_those_there_are_and_leaves_the_running_one():
    _, _, director = _quiet()
    director.start("node-loss")
    with pytest.raises(UnknownScenario, match="bad-deploy, node-loss"):
        director.start("meteor")
    assert director.name == "node-loss"
    assert director.state is ScenarioState.RUNNING


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_scenario_ends_without_a_trace_in_the_knobs(name):
    fleet, _, director = _quiet()
    director.start(name)
    run(fleet, director, 3)
    director.end()
    assert (fleet.faults.demand == 1).all()
    assert (fleet.faults.capacity == 1).all()
    assert not fleet.faults.lost_nodes
    assert director.state is ScenarioState.ENDED


def test_a_scenario_whose_workload_was_deleted_says_so_and_does_not_run():
    _, pods, director = _quiet()
    del pods.by_name[("shop", "payment")]
    with pytest.raises(ScenarioImpossible, match="bad-deploy cannot begin"):
        director.start("bad-deploy")
    assert director.state is ScenarioState.ENDED


def test_a_scheduled_scenario_that_cannot_begin_does_not_stop_the_beat():
    fleet, pods, director = _quiet()
    with clock.frozen_at(NOON):
        director.schedule("node-loss")
    pods.by_name.clear()
    with clock.frozen_at(NOON + timedelta(seconds=61)):
        director.tick()
    assert director.state is ScenarioState.ENDED
    fleet.step(1.0)


class _Stumbling:
    """A cluster that fails its first step and ends the loop with its third."""

    def __init__(self, stop):
        self.stop, self.steps = stop, []

    def step(self, now_seconds):
        self.steps.append(now_seconds)
        if len(self.steps) == 1:
            raise RuntimeError("stumbled")
        if len(self.steps) == 3:
            self.stop.set()


def test_the_beat_goes_on_after_a_step_that_failed(caplog):
    fleet, _, director = _quiet()
    stop = threading.Event()
    cluster = _Stumbling(stop)
    loop = Loop(fleet, cluster, director, speed=2.0, tracer=Tracer(fleet, seed=1), sender=None)
    loop.run(stop)
    assert len(cluster.steps) >= 3
    assert cluster.steps[2] - cluster.steps[1] == pytest.approx(1.0)
    assert "a step of the fleet failed" in caplog.text
