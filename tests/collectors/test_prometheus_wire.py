"""Every recorded answer of three Prometheus versions passes the decoder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from app.errors import SourceNonsense
from collectors.prometheus_wire import Answered, ApiError, names, open_envelope, table
from tests.support import recorded

VERSIONS = ("2.42.0", "2.53.3", "3.5.3")
DATA = [
    p for p in recorded.files("prometheus", "*/*.json") if p.name.startswith(("query_", "range_", "native_"))
]
ERRORS = recorded.files("prometheus", "*/err*.json")


def _open(path: Path) -> Answered | ApiError:
    return open_envelope(recorded.body(recorded.load(path)))


@pytest.mark.parametrize("path", DATA, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_recorded_data_is_read_by_its_result_type(path: Path) -> None:
    said = recorded.load(path)["body"]["data"]
    answered = _open(path)
    assert isinstance(answered, Answered)
    if said["resultType"] == "string":
        with pytest.raises(SourceNonsense):
            table(answered, ("service",))
        return
    read = table(answered, ("service", "le"))
    if said["resultType"] == "scalar":
        assert repr(float(said["result"][1])) == repr(float(read.values[0, 0]))
        return
    plain = [s for s in said["result"] if "value" in s or s.get("values")]
    assert read.labels["service"] == [s["metric"].get("service", "") for s in plain]
    assert len(read) + read.natives == len(said["result"])
    expected = [float(v) for s in plain for _, v in ([s["value"]] if "value" in s else s["values"])]
    flat = read.values[~np.isnan(read.values)]
    np.testing.assert_allclose(flat, [v for v in expected if not np.isnan(v)])


@pytest.mark.parametrize("path", ERRORS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_recorded_refusals_keep_their_type_or_are_said_to_be_foreign(path: Path) -> None:
    recording = recorded.load(path)
    if "text" in recording:
        with pytest.raises(SourceNonsense, match="not Prometheus' JSON"):
            _open(path)
        return
    opened = _open(path)
    assert isinstance(opened, ApiError)
    assert opened.type == recording["body"]["errorType"]
    assert opened.message


@pytest.mark.parametrize("version", VERSIONS)
def test_infinite_values_are_read_as_such(version: str) -> None:
    for stem, value in (("query_inf", np.inf), ("query_neginf", -np.inf)):
        answered = _open(recorded.ROOT / "prometheus" / version / f"{stem}.json")
        assert isinstance(answered, Answered)
        assert table(answered, ()).values.tolist() == [[value]]


@pytest.mark.parametrize("version", VERSIONS)
def test_names_are_a_plain_list(version: str) -> None:
    answered = _open(recorded.ROOT / "prometheus" / version / "label_values_name.json")
    assert isinstance(answered, Answered)
    assert "http_request_duration_seconds_bucket" in names(answered)


def test_warnings_are_kept_and_infos_left_out_wherever_they_stand() -> None:
    for version, stem in (("2.53.3", "query_warn_rate_on_gauge"), ("3.5.3", "query_warn_rate_on_gauge")):
        answered = _open(recorded.ROOT / "prometheus" / version / f"{stem}.json")
        assert isinstance(answered, Answered)
        assert answered.warnings == ()
    cut = _open(recorded.ROOT / "prometheus" / "3.5.3" / "query_limit_warning.json")
    assert isinstance(cut, Answered)
    assert cut.warnings == ("results truncated due to limit",)


def test_a_gap_in_a_range_stays_a_gap() -> None:
    series = [{"metric": {"service": "a"}, "values": [[60, "1"], [180, "3"]]}]
    body = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": series}}).encode()
    answered = open_envelope(body)
    assert isinstance(answered, Answered)
    read = table(answered, ("service",), np.array([60.0, 120.0, 180.0]))
    assert np.isnan(read.values[0, 1])
    assert read.values[0, [0, 2]].tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><title>Grafana</title>",
        b"[]",
        b"{",
        b'{"status":"success"',
        b'{"status":"maybe"}',
        b"\xff\xfe{}",
    ],
)
def test_bodies_that_are_not_the_protocol_are_nonsense(body: bytes) -> None:
    with pytest.raises(SourceNonsense):
        open_envelope(body)


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"resultType": "vector", "result": [{"metric": {"a": 1}, "value": [1, "2"]}]},
        {"resultType": "vector", "result": [{"metric": {}, "value": [1]}]},
        {"resultType": "vector", "result": [{"metric": {}, "value": [1, "many"]}]},
        {"resultType": "vector", "result": {"metric": {}}},
        {"resultType": "streams", "result": []},
    ],
)
def test_results_of_another_shape_are_nonsense(data: object) -> None:
    answered = open_envelope(json.dumps({"status": "success", "data": data}).encode())
    assert isinstance(answered, Answered)
    with pytest.raises(SourceNonsense):
        table(answered, ("a",))
