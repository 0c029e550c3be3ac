"""What single spans say: outcomes and sampling."""

from __future__ import annotations

import pytest

from app.model.trace import Outcome, outcome_of_error, sampling_multiplier
from tests.support.spans import CLIENT, SERVER, S, edges, nodes, seen


@pytest.mark.parametrize(
    ("threshold", "multiplier"),
    [("0", 1), ("8", 2), ("c", 4), ("e", 8), ("f", 16), ("e6666666666666", 10), ("fd70a4", 100.0001)],
)
def test_a_threshold_says_how_many_requests_a_span_stands_for(threshold, multiplier):
    assert sampling_multiplier(f"other=1,ot=rv:0102030405060e;th:{threshold}") == pytest.approx(
        multiplier, rel=1e-6
    )


@pytest.mark.parametrize(
    "text", ["", "ot", "ot=", "ot=th:", "ot=th:xyz", "ot=th:" + "f" * 15, "vendor=th:8", "ot=p:8"]
)
def test_a_tracestate_that_does_not_say_is_not_guessed(text):
    assert sampling_multiplier(text) is None


@pytest.mark.parametrize(
    ("http", "grpc", "outcome"),
    [
        ("500", "", Outcome.FAILED),
        ("503", "5", Outcome.FAILED),
        ("404", "", Outcome.CALLER),
        ("429", "14", Outcome.CALLER),
        ("", "14", Outcome.FAILED),
        ("", "DEADLINE_EXCEEDED", Outcome.FAILED),
        ("", "unavailable", Outcome.FAILED),
        ("", "5", Outcome.CALLER),
        ("", "NOT_FOUND", Outcome.CALLER),
        ("", "99", Outcome.UNCODED),
        ("", "", Outcome.UNCODED),
        ("abc", "x", Outcome.UNCODED),
        ("²00", "²", Outcome.UNCODED),
    ],
)
def test_the_first_known_code_decides_whose_fault_it_was(http, grpc, outcome):
    assert outcome_of_error(http_status=http, grpc_status=grpc) is outcome


def sampled(**over):
    return (S("a", CLIENT, id=1, parent=9, **over), S("b", SERVER, id=2, parent=1, **over))


def test_sampled_calls_count_for_those_that_were_not_kept():
    snapshot = seen(*sampled(tracestate="ot=th:e"))
    call = edges(snapshot)["a>b"]
    assert (call["requests"], call["raw"], call["client"]) == (8, 1, 8)
    assert nodes(snapshot)["b"] == (8, 0)
    assert snapshot.witnesses[0].sampling_ratio == pytest.approx(1 / 8)


@pytest.mark.parametrize("where", ["resource", "attributes"])
def test_a_configured_attribute_holds_the_ratio_on_resource_or_span(where):
    snapshot = seen(*sampled(**{where: {"sample.ratio": 0.25}}), sampling_attribute="sample.ratio")
    assert edges(snapshot)["a>b"]["requests"] == 4


def test_tracestate_goes_before_the_configured_ratio():
    snapshot = seen(
        *sampled(resource={"sample.ratio": 0.25}, tracestate="ot=th:8"), sampling_attribute="sample.ratio"
    )
    assert edges(snapshot)["a>b"]["requests"] == 2


@pytest.mark.parametrize("nonsense", ["0", "-1", "2", "nan", "inf", "abc"])
def test_a_ratio_that_cannot_be_one_is_ignored(nonsense):
    snapshot = seen(*sampled(resource={"sample.ratio": nonsense}), sampling_attribute="sample.ratio")
    assert edges(snapshot)["a>b"]["requests"] == 1
