"""What was read is written again in every format that has words for it, and a real promtool accepts the rules."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from app.model.slo_spec import Alerting, Method, Origin, Slo, SpecFormat
from app.specs import Unsayable, read, write
from app.specs.expressions import either_spelling
from tests.support.slo_files import NATIVE, OPENSLO, PYRRA, SLOTH, SLOTH_RESOURCE

INDICATORS = (
    "{ratio: {errors: {metric: e}, total: {metric: t}, grouping: [job]}}",
    """{latency: {success: {metric: 'd_bucket{le="1"}'}, total: {metric: d_count}}}""",
    "{latencyNative: {latency: 200ms, total: {metric: d}}}",
    "{bool_gauge: {metric: up}}",
)
FILES = {
    "sloth": SLOTH,
    "sloth-resource": SLOTH_RESOURCE,
    "openslo": OPENSLO,
    "native": NATIVE,
    **{f"pyrra-{n}": PYRRA.format(name=f"p{n}", indicator=one) for n, one in enumerate(INDICATORS)},
}
_NOWHERE = Origin(SpecFormat.NATIVE, "", 0)


def slos_of(text: str) -> list[Slo]:
    found = read({"f.yaml": text})
    assert found.problems == ()
    return list(found.slos)


def meant(slo: Slo, *, alerting: bool = True) -> Slo:
    """The promise without where it was written."""
    style = replace(slo.alerting, style=SpecFormat.NATIVE) if alerting else Alerting()
    return replace(slo, origin=_NOWHERE, alerting=style)


@pytest.mark.parametrize("name", ["sloth-resource", "native", *(f"pyrra-{n}" for n in range(4))])
def test_our_own_form_says_all_that_was_read(name):
    slos = slos_of(FILES[name])
    assert [meant(one) for one in slos_of(write(slos, "quarterdeck"))] == [meant(one) for one in slos]


@pytest.mark.parametrize("name", [f"pyrra-{n}" for n in range(4)])
def test_pyrra_comes_back_as_it_was(name):
    slos = slos_of(FILES[name])
    assert [meant(one) for one in slos_of(write(slos, "pyrra"))] == [meant(one) for one in slos]


def test_sloth_comes_back_with_the_same_promises():
    slos = slos_of(SLOTH)
    again = slos_of(write(slos, "sloth"))
    assert [(one.id, one.objective, one.labels, one.alerting) for one in again] == [
        (one.id, one.objective, one.labels, one.alerting) for one in slos
    ]


def test_openslo_comes_back_with_the_same_indicator_and_period():
    slos = slos_of(OPENSLO)
    (again,) = slos_of(write(slos, "openslo"))
    (before,) = slos
    assert (again.indicator, again.objective, again.method) == (
        before.indicator,
        before.objective,
        before.method,
    )
    assert (again.slice_length, again.slice_target, again.period) == (
        before.slice_length, before.slice_target, before.period,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["sloth", "sloth-resource", *(f"pyrra-{n}" for n in range(4))])
def test_promtool_accepts_the_rules(name, tmp_path: Path):
    file = tmp_path / "rules.yaml"
    file.write_text(write(slos_of(FILES[name]), "prometheus"))
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: apt-get install prometheus"
    done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_carry_the_names_that_dashboards_know():
    groups = yaml.safe_load(write(slos_of(SLOTH_RESOURCE), "prometheus"))["groups"]
    records = {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}
    assert records >= {
        "slo:sli_error:ratio_rate5m",
        "slo:sli_error:ratio_rate3d",
        "slo:sli_error:ratio_rate30d",
        "slo:period_error_budget_remaining:ratio",
        "sloth_slo_info",
    }
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert [rule["labels"]["sloth_severity"] for rule in alerts] == ["ticket"]


def test_rules_of_any_period_have_no_empty_window():
    (slo,) = slos_of("slos: [{name: up, service: s, objective: 99, window: 1d, probe: up}]")
    assert "0s" not in write([slo], "prometheus")


def test_what_a_format_has_no_words_for_is_said():
    slos = {one.name: one for one in slos_of(NATIVE)}
    for name, form, words in (
        ("seen", "prometheus", "is in no Prometheus"),
        ("seen", "openslo", "has no word"),
        ("fast", "prometheus", "no calendar"),
        ("fast", "pyrra", "rolling windows only"),
        ("up", "sloth", "no time slices"),
        ("availability", "pyrra", "plain selectors of errors"),
    ):
        with pytest.raises(Unsayable, match=words) as caught:
            write([slos[name]], form)
        assert slos[name].id in str(caught.value)
    assert slos["up"].method is Method.TIMESLICES


def test_a_bucket_is_found_under_either_spelling():
    assert either_spelling('d_bucket{le="1",job="a"}') == 'd_bucket{le=~"1|1[.]0",job="a"}'
    assert either_spelling('d_bucket{le="1.0"}') == 'd_bucket{le=~"1|1[.]0"}'
    assert either_spelling('d_bucket{le="0.3"}') == 'd_bucket{le="0.3"}'
