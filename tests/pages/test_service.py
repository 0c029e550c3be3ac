from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from msgspec import structs

from app import clock
from app.model.fleet import HealthStatus, service_id
from app.model.inventory import Autoscaler
from app.pages import service
from tests.pages.conftest import reader_of
from tests.support.acting_site import (
    know,
    make_inventory,
    make_pod,
    make_revision,
    make_workload,
    seed_checkout,
)
from tests.support.shown import make_fleet, make_service, seed, show

ORDER = "/services/demo/shop/order"
DATABASE = "/nodes?id=demo:~database:postgresql@orders-db:5432"
HOSTILE = '<svg onload=alert(1)>"\u202e\x07😀' + "x" * 10_000


def make_autoscaler() -> Autoscaler:
    return Autoscaler(
        namespace="shop",
        name="checkout",
        target_kind="Deployment",
        target_name="checkout",
        minimum=2,
        maximum=8,
    )


@pytest.fixture
def checkout(empty_site):
    seed_checkout(empty_site.store)
    return empty_site


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (HealthStatus.FAILING, "order is failing: errors 12 %, usually 0.1 %"),
        (HealthStatus.HEALTHY, "order is healthy."),
        (HealthStatus.IDLE, "order is idle."),
        (HealthStatus.MAINTENANCE, "order is in maintenance."),
        (HealthStatus.UNKNOWN, "Nobody knows how order is."),
    ],
)
def test_the_first_line_says_how_it_is(status, sentence):
    assert service.answer(make_service("order", clock.now(), status=status)) == sentence


def test_the_page_has_the_verdict_the_numbers_the_charts_and_both_sides(get):
    page = get(ORDER)
    assert page.text("h1") == "order is failing: errors 12 %, usually 0.1 %"
    numbers = page.text("dl", class_="numbers")
    assert "errors 12 %" in numbers
    assert "p95 120 ms" in numbers
    assert page.one("div", class_="number-crit").text.strip().startswith("errors")
    assert [one.attributes["data-chart"] for one in page.all("div", class_="chart-area")] == [
        "rate",
        "errors",
        "latency",
        "latency_heatmap",
    ]
    deps = page.text("section", id="f-service-deps")
    assert "Called by" in deps
    assert "gateway" in deps
    assert "postgresql@orders-db:5432" in deps


def test_a_chart_says_its_answer_without_scripts_and_links_its_numbers(get):
    page = get(ORDER)
    figure = page.text("figure", class_="chart-errors")
    assert "12 % now" in figure
    spark = next(
        one for one in page.all("svg", role="img") if one.attributes["aria-label"].startswith("Errors")
    )
    assert "lowest 0 %, highest 12 %" in spark.attributes["aria-label"]
    table = next(one for one in page.all("a") if one.text == "Table of Errors").attributes["href"]
    rows = get(table)
    assert rows.text("h1") == "Errors of order"
    assert "12 %" in rows.text("table")
    assert "no data" in rows.text("table")


@pytest.mark.parametrize("metric", ["rate", "errors", "latency", "heatmap"])
def test_every_chart_has_a_table_of_one_row_a_minute(get, metric):
    page = get(f"/series?id=demo:shop:order&metric={metric}")
    assert 55 <= len(page.all("tr")) - 1 <= 60
    assert "one row for 1 m" in page.text("section", id="f-series-table")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/services/demo/shop/nobody", 404),
        ("/services/demo/shop/nobody/pods", 404),
        ("/nodes?id=nothing", 404),
        ("/nodes", 404),
        ("/series?id=nothing", 404),
        ("/series?id=demo:shop:order&metric=pie", 400),
        (f"{ORDER}?from=later", 400),
    ],
)
def test_what_is_not_there_is_said_without_echo(get, path, status):
    page = get(path, status=status)
    assert "nobody" not in page.text("main")


def test_an_inferred_node_has_its_callers_and_no_pods(get):
    page = get(DATABASE)
    assert page.text("h1") == "postgresql@orders-db:5432 is healthy."
    assert "Called by Name State Rate Errors p95 order" in page.text("section", id="f-service-deps")
    assert not page.all("section", id="f-service-pods")
    assert not page.all("a", class_="button-main")


def test_a_service_asked_for_as_a_node_is_led_to_its_page(site):
    answer = site.client("bob").get("/nodes?id=demo:shop:order")
    assert (answer.status_code, answer.headers["Location"]) == (302, ORDER)


def test_without_kubernetes_the_button_stays_and_says_why(get):
    page = get(ORDER, as_="alice")
    button = page.one("button", aria_disabled="true")
    assert button.text == "Scale…: this kind of workload cannot be scaled"
    assert "are not known either" in page.text("section", id="f-service-pods")


def test_a_responder_may_scale_and_a_viewer_sees_why_not(checkout):
    get = reader_of(checkout)
    link = get("/services/demo/shop/checkout", as_="alice").one("a", data_page="", class_="button-main")
    assert link.attributes["href"].startswith("/actions/new?kind=scale&cluster=demo")
    button = get("/services/demo/shop/checkout", as_="bob").one("button", aria_disabled="true")
    assert button.text == "Scale…: your role may look but not act; a responder can"


def test_pods_that_are_not_ready_come_first_and_revisions_newest_first(checkout):
    sick = make_pod(
        9, ready=False, reason="CrashLoopBackOff", message="back-off 5m0s", restarts=9, last_exit="OOMKilled"
    )
    know(
        checkout.store,
        make_inventory(
            pods=(make_pod(1), make_pod(2), sick),
            autoscalers=(make_autoscaler(),),
        ),
    )
    page = reader_of(checkout)("/services/demo/shop/checkout/pods")
    pods = [one for one in page.all("tr") if one.attributes.get("id", "").startswith("pod-")]
    assert "CrashLoopBackOff: back-off 5m0s" in pods[0].text
    assert "9 (OOMKilled)" in " ".join(pods[0].text.split())
    revisions = [
        one.text.split()[0] for one in page.all("tr") if one.attributes.get("id", "").startswith("rev-")
    ]
    assert revisions == ["2", "1"]
    assert "runs now" in page.text("tr", id="rev-uid-checkout-2")
    assert "autoscaler 2 to 8" in page.text("p", class_="verdict")


def test_old_numbers_are_dimmed_and_say_their_age(empty_site):
    seed(empty_site.store, clock.now() - timedelta(minutes=9))
    page = reader_of(empty_site)(ORDER)
    values = page.all("dd", class_="num")
    assert values
    assert all(
        "stale-value" in one.attributes["class"] for one in values if "soft" not in one.attributes["class"]
    )
    assert "as of" in page.text("p", class_="verdict")


def test_fresh_numbers_are_not_dimmed(get):
    assert not get(ORDER).all("dd", class_="stale-value")


def test_unknown_numbers_are_said_not_shown_as_zero(get):
    page = get("/services/demo/shop/search")
    assert page.text("h1") == "Nobody knows how search is."
    assert page.text("dl", class_="numbers").count("no data") == 5


def test_a_past_moment_is_fixed_and_its_charts_have_fixed_ends(get):
    moment = (clock.now() - timedelta(minutes=10)).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    page = get(f"{ORDER}?at={moment}")
    assert "This is the past" in page.html
    area = page.all("div", class_="chart-area")[0].attributes
    assert "data-seconds" not in area
    assert "&from=20" in area["data-src"]


def test_hostile_pods_images_and_causes_stay_text(checkout):
    pod = make_pod(
        1,
        name=HOSTILE,
        node=HOSTILE,
        ready=False,
        reason=HOSTILE,
        message=HOSTILE,
        images=(HOSTILE,),
        last_exit=HOSTILE,
    )
    know(
        checkout.store,
        make_inventory(
            workloads=(make_workload(strategy=HOSTILE),),
            pods=(replace(pod, uid=HOSTILE),),
            revisions=(make_revision(2, change_cause=HOSTILE),),
        ),
    )
    page = reader_of(checkout)("/services/demo/shop/checkout")
    part = page.html.partition('id="f-service-pods"')[2]
    assert "<svg onload" not in part
    assert "\u202e" not in part.partition("<tbody")[2].replace("%E2%80%AE", "")
    assert max(len(one.text) for one in page.all("code")) <= 121
    assert "😀" in part


def test_hostile_edges_stay_text(empty_site):
    fleet = make_fleet(clock.now())
    edges = tuple(structs.replace(edge, protocol=HOSTILE) for edge in fleet.edges)
    show(empty_site.store, replace(fleet, edges=edges))
    page = reader_of(empty_site)(ORDER)
    assert "&lt;svg onload" in page.html
    assert all(len(one.text) <= 21 for one in page.all("span", class_="protocol"))


def test_a_service_is_found_by_the_parts_of_its_id(get):
    assert service_id("demo", "shop", "order") == "demo:shop:order"
    assert (
        get(ORDER)
        .one("section", id="f-service-verdict")
        .attributes["data-topics"]
        .startswith('["service:demo:shop:order"')
    )
