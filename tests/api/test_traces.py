"""Example traces over the API, and single traces from the store or from a backend."""

from __future__ import annotations

import msgspec
import pytest

from app.api import trace_shapes
from app.web.traces import trace_id_of
from tests.support import small_fleet as fleet
from tests.support.kept_traces import FAILED_TRACE, seed_traces

LIST = f"/api/v1/services/{fleet.ORDER}/traces"
ONE = f"/api/v1/traces/{FAILED_TRACE}"


@pytest.fixture
def kept(site):
    seed_traces(site.store, order=fleet.ORDER, gateway=fleet.GATEWAY)
    return site.client("bob")


def ids(answer):
    assert answer.status_code == 200, answer.json
    return [one["trace_id"] for one in answer.json["items"]]


def test_the_traces_of_a_service_are_listed_newest_first_with_why_they_are_kept(kept):
    answer = kept.get(LIST)
    assert ids(answer) == [FAILED_TRACE, "ab" * 16, "cd" * 16]
    msgspec.json.decode(answer.data, type=trace_shapes.KeptTraces)
    first = answer.json["items"][0]
    assert (first["root"], first["failed"], first["spans"], first["services"]) == (
        "gateway: POST /buy",
        True,
        47,
        4,
    )
    assert first["calls"] == [
        {
            "span_id": f"{2:016x}",
            "caller": fleet.GATEWAY,
            "callee": fleet.ORDER,
            "why": "failed",
            "duration": pytest.approx(2.1),
            "failed": True,
        }
    ]
    assert answer.json["freshness"] is not None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("error=true", [FAILED_TRACE]),
        ("min_duration=1s", [FAILED_TRACE, "ab" * 16]),
        ("min_duration=1h", []),
        (f"edge={fleet.EDGES[0]}", [FAILED_TRACE, "ab" * 16, "cd" * 16]),
        (f"edge={fleet.EDGES[1]}", []),
        ("limit=1", [FAILED_TRACE]),
        ("to=2020-01-01T00:00:00Z", []),
    ],
)
def test_the_list_is_filtered(kept, query, expected):
    assert ids(kept.get(f"{LIST}?{query}")) == expected
    assert ids(kept.get(f"/api/v1/nodes/traces?id={fleet.ORDER}&{query}")) == expected


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{LIST}?min_duration=long", 400),
        (f"{LIST}?error=maybe", 400),
        (f"{LIST}?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", 400),
        (f"{LIST}?edge=nothing", 404),
        ("/api/v1/services/other:shop:order/traces", 404),
        ("/api/v1/traces/nothing", 400),
        (f"/api/v1/traces/{'ef' * 16}", 404),
        (f"{ONE}?cluster=silent", 404),
    ],
)
def test_what_cannot_be_answered_is_a_problem(kept, path, status):
    answer = kept.get(path)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")


def test_a_trace_comes_with_its_critical_path_clocks_and_answer(kept):
    answer = kept.get(ONE)
    assert answer.status_code == 200
    msgspec.json.decode(answer.data, type=trace_shapes.TraceAnswer)
    found = answer.json
    assert (
        found["answer"]
        == "failed in order: POST /charge, 500, Timeout: no answer; 1.9 s of 2.15 s were spent waiting for order → bank"
    )
    spans = {one["span_id"]: one for one in found["spans"]}
    bank = spans[f"{4:016x}"]
    assert bank["critical"] == pytest.approx(1.9)
    assert spans[f"{6:016x}"]["clock_shift"] == pytest.approx(0.34, abs=0.001)
    assert found["failed_span"] == f"{3:016x}"
    assert found["spans"][0]["parent_id"] is None
    assert found["hidden"] == 37
    assert (found["link"], found["cut"]) == (None, 0)
    assert spans[f"{3:016x}"]["events"][0]["attributes"]["exception.type"] == "Timeout"


def test_traces_need_the_permission_to_read(site, kept):
    assert site.client().get(ONE).status_code == 401
    assert site.client().get(LIST).status_code == 401


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (FAILED_TRACE, FAILED_TRACE),
        (f"  {FAILED_TRACE.upper()} ", FAILED_TRACE),
        ("4bf92f35-77b3-4da6-a3ce-929d0e0e4736", FAILED_TRACE),
        ("a3ce929d0e0e4736", "0" * 16 + "a3ce929d0e0e4736"),
        ("0" * 32, None),
        ("order", None),
        ("4bf92f3577b34da6a3ce929d0e0e473", None),
        ("g" * 32, None),
        ("", None),
    ],
)
def test_ids_are_recognised_as_they_are_pasted(text, found):
    assert trace_id_of(text) == found
