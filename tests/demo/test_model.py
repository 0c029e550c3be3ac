"""The fleet under load: quiet figures, conservation, determinism, counters, growth of waiting."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo import demand, generate, queueing
from demo.plan import Plan
from tests.support.demo_figures import figures_of, run, served_total
from tests.support.demo_pods import START, InstantPods, make_fleet


def test_a_quiet_fleet_is_healthy_everywhere():
    fleet, _ = make_fleet()
    run(fleet, None, 30)
    for service in fleet.plan.catalog.services:
        assert figures_of(fleet, service.name).errors < 0.005, service.name
    assert 0.1 < figures_of(fleet, "order").p95 < 0.2


def test_the_same_seed_counts_the_same_and_another_seed_does_not():
    ledgers = []
    for seed in (3, 3, 4):
        fleet, _ = make_fleet(seed=seed)
        run(fleet, None, 20)
        ledgers.append(fleet.ledger.served)
    assert np.array_equal(ledgers[0], ledgers[1])
    assert not np.array_equal(ledgers[0], ledgers[2])


def test_callers_send_what_callees_receive():
    fleet, _ = make_fleet()
    run(fleet, None, 30)
    plan = fleet.plan
    reached = np.bincount(plan.target, fleet.state.call_rate, len(plan.targets))
    entry = set(plan.entry.tolist())
    for i, endpoint in enumerate(plan.catalog.endpoints):
        if i not in entry and not endpoint.topic:
            assert fleet.state.rate[i] == pytest.approx(reached[i], rel=0.02), endpoint.key


def test_what_is_counted_agrees_with_the_rate():
    fleet, _ = make_fleet()
    run(fleet, None, 120)
    assert served_total(fleet, "gateway") / 120 == pytest.approx(figures_of(fleet, "gateway").rate, rel=0.05)


def test_both_sides_of_an_edge_count_alike():
    fleet, _ = make_fleet()
    run(fleet, None, 200)
    plan, rows = fleet.plan, fleet.pods.calls
    to_payment = plan.target_at["payment POST /payments"]
    called = fleet.ledger.called[plan.target[rows.thing] == to_payment].sum()
    assert called == pytest.approx(served_total(fleet, "payment"), rel=0.06)


def test_every_topic_is_worked_off_while_all_is_well():
    fleet, _ = make_fleet()
    run(fleet, None, 60)
    assert fleet.state.lag == pytest.approx(np.zeros(3), abs=1e-6)
    assert fleet.consumed[0] == pytest.approx(fleet.produced[0], rel=0.01)


def test_counters_of_pods_that_stay_never_fall_and_a_replaced_pod_starts_at_zero():
    fleet, pods = make_fleet()
    run(fleet, None, 10)
    kept = fleet.ledger.served[fleet.pods.endpoints.of(fleet.place_of("shop", "gateway-00001") or 0)].sum()
    pods.deploy("shop", "order", "3.4.2")
    pods.scale("user", 5)
    run(fleet, None, 1)
    place = fleet.place_of("shop", "gateway-00001")
    assert place is not None
    assert fleet.ledger.served[fleet.pods.endpoints.of(place)].sum() >= kept
    fresh = fleet.place_of("shop", pods.pods("shop", "order")[0].name)
    assert fresh is not None
    assert 0 < fleet.ledger.served[fleet.pods.endpoints.of(fresh)].sum() < 60


def test_a_restarted_container_counts_from_zero():
    fleet, pods = make_fleet()
    run(fleet, None, 20)
    first, *others = pods.pods("shop", "gateway")
    pods.by_name[("shop", "gateway")] = [replace(first, started=START + 20), *others]
    run(fleet, None, 1)
    place = fleet.place_of("shop", first.name)
    assert place is not None
    assert fleet.ledger.served[fleet.pods.endpoints.of(place)].sum() < 100


def test_a_service_without_ready_pods_fails_its_callers_and_counts_nothing():
    fleet, pods = make_fleet()
    pods.by_name[("shop", "payment")] = [replace(p, ready=False) for p in pods.pods("shop", "payment")]
    run(fleet, None, 5)
    before = served_total(fleet, "payment")
    run(fleet, None, 5)
    assert served_total(fleet, "payment") == before
    assert figures_of(fleet, "order").errors > 0.5


def test_cpu_follows_the_load_and_an_unknown_pod_uses_nothing():
    fleet, pods = make_fleet()
    run(fleet, None, 5)
    busy = fleet.cpu_usage("shop", pods.pods("shop", "order")[0].name)
    pods.scale("order", 12)
    run(fleet, None, 5)
    relieved = fleet.cpu_usage("shop", pods.pods("shop", "order")[0].name)
    assert busy > 0.5
    assert relieved < busy / 2
    assert fleet.cpu_usage("shop", "nobody") == 0.0


@pytest.mark.parametrize("services", [100, 1000])
def test_generated_fleets_have_five_edges_a_service_and_room_in_every_pod(services):
    catalog = generate.catalog(services, 7)
    plan = Plan(catalog)
    rates, _ = plan.nominal()
    work = np.bincount(plan.endpoint_service, rates * plan.endpoint("cost"))
    used = work / (plan.service("capacity") * plan.service("replicas"))
    assert len(catalog.services) == services
    assert len({s.name for s in catalog.services}) == services
    assert 4.5 < len(catalog.calls) / services < 5.5
    assert used.min() > 0
    assert used.max() < 0.65


def test_generated_fleets_are_the_same_for_the_same_seed():
    assert generate.catalog(300, 5) == generate.catalog(300, 5)
    assert generate.catalog(300, 5) != generate.catalog(300, 6)


def test_more_services_than_can_be_made_are_refused():
    with pytest.raises(ValueError, match="at most 5000"):
        generate.catalog(5001, 1)


def test_a_big_fleet_settles_without_errors():
    fleet, _ = make_fleet(generate.catalog(300, 2))
    run(fleet, None, 10)
    rates = fleet.served_rates()
    assert rates[:, 2:].sum() / rates.sum() < 0.005


def test_a_big_fleet_notices_new_pods_within_five_steps():
    catalog = generate.catalog(150, 2)
    pods = InstantPods(catalog)
    fleet, pods = make_fleet(catalog)
    pods.scale("order", 9)
    run(fleet, None, 5)
    assert sum(view.name.startswith("order-") for view in fleet.pods.views) == 9


def test_demand_depends_on_nothing_but_seed_and_moment():
    moments = np.array([START, START + 3600.0])
    assert np.array_equal(demand.level(1, moments), demand.level(1, moments))
    assert demand.level(1, moments[1:])[0] == demand.level(1, moments)[1]
    assert np.abs(demand.level(1, np.arange(START, START + 86400, 60.0)) - 1).max() < 0.15


@pytest.mark.parametrize(
    ("x", "wanted"), [(0.0, 0.5), (1.0, 0.8413), (-1.0, 0.1587), (1.6449, 0.95), (-3.0, 0.00135)]
)
def test_the_normal_distribution_is_close_enough(x, wanted):
    assert queueing.normal_cdf(np.array([x]))[0] == pytest.approx(wanted, abs=3e-4)


@given(st.floats(1e-4, 20.0), st.floats(0.01, 3.0), st.floats(0.05, 8.0))
def test_bucket_shares_are_a_distribution(mean, spread, limit):
    moments = np.array([mean]), np.array([(mean * spread) ** 2])
    shares = queueing.bucket_shares(np.array([0.01, 0.1, 1.0, 10.0]), *moments, np.array([limit]))
    assert shares.sum() == pytest.approx(1.0)
    assert shares.min() >= -1e-12


@given(st.floats(0.0, 0.97), st.floats(0.001, 0.02))
def test_waiting_grows_with_utilisation(utilisation, more):
    waits = queueing.stationary_wait(np.array([utilisation, utilisation + more]), np.array([30.0, 30.0]))
    assert waits[1] > waits[0]


@pytest.mark.parametrize(
    ("failing", "retries", "tries"), [(0.0, 3, 1.0), (0.5, 1, 1.5), (1.0, 3, 4.0), (0.5, 3, 1.875)]
)
def test_retries_add_load_as_failures_grow(failing, retries, tries):
    assert queueing.attempts(np.array([failing]), np.array([float(retries)]))[0] == pytest.approx(tries)


def test_a_full_queue_drops_the_rest():
    backlog, dropped = queueing.drain(
        np.array([35.0]), np.array([50.0]), np.array([30.0]), np.array([40.0]), 1.0
    )
    assert backlog[0] == 40.0
    assert dropped[0] == 15.0
