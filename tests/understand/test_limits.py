from __future__ import annotations

from datetime import timedelta

import pytest

from app.config import HealthRule
from app.understand.limits import RuleBook, Subject, limits_of, told

PAY = Subject("demo", "shop", "payment", "service")


def rule(match=None, **limits) -> HealthRule:
    return HealthRule(match=match or {"name": "payment"}, **limits)


def columns(*rules: HealthRule, subject: Subject = PAY):
    return limits_of(1, own=[RuleBook(rules).own(subject)])


def test_each_limit_comes_from_the_first_rule_that_fits_and_gives_it():
    found = columns(
        rule({"name": "other"}, errors_degraded=0.5),
        rule(errors_degraded=0.02),
        rule({"namespace": "shop"}, errors_degraded=0.03, volume_drop=0.5),
    )
    assert found.errors[0, 0] == 0.02
    assert found.volume_ratio[0] == 0.5
    assert found.errors[1, 0] == 0.10


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({"name": "pay"}, False),
        ({"name": "pay.*", "kind": "service"}, True),
        ({"cluster": "prod"}, False),
        ({"namespace": "shop", "name": "payment"}, True),
        ({"caller": ".*"}, False),
    ],
)
def test_every_pattern_must_fit_the_whole_field(match, fits):
    assert bool(columns(rule(match, min_requests=5)).own[0]) is fits


def test_a_rule_with_a_caller_is_about_connections_only():
    call = Subject("demo", "shop", "payment", "service", "cart")
    assert columns(rule({"caller": "cart"}, min_requests=5), subject=call).guard[0] == 5
    assert columns(rule({"name": "payment"}, min_requests=5), subject=call).guard[0] == 5


@pytest.mark.parametrize(
    ("given", "degraded", "failing"),
    [
        ({"errors_degraded": 0.2}, 0.2, 0.2),
        ({"errors_failing": 0.005}, 0.005, 0.005),
        ({"errors_degraded": 0.2, "errors_failing": 0.4}, 0.2, 0.4),
    ],
)
def test_failing_is_never_milder_than_degraded(given, degraded, failing):
    assert columns(rule(**given)).errors[:, 0].tolist() == [degraded, failing]


def test_only_the_named_checks_are_judged():
    judged = columns(rule(judge=("errors",))).judged
    assert [bool(judged[check][0]) for check in ("errors", "latency", "volume")] == [True, False, False]
    assert not any(column[0] for column in columns(rule(judge=())).judged.values())


def test_own_limits_read_as_phrases():
    own = RuleBook(
        (rule(errors_failing=0.25, latency_degraded=timedelta(milliseconds=300), judge=("latency",)),)
    ).own(PAY)
    assert told(own) == ["errors failing at 25 %", "p95 degraded at 300 ms", "judged by latency"]
