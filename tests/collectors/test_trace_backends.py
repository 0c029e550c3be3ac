"""Trace backends that refuse, hang, page wrongly or talk nonsense; and one trace read whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from app import clock
from app.config import Cluster, Config, Secret, TraceBackend, load
from app.errors import ConfigError, SourceNonsense, SourceRefused, SourceUnavailable
from app.model.series import Window
from app.model.trace import SpanKind
from collectors import load as load_kind
from collectors.otlp import OtlpCollector
from collectors.otlp_body import JSON
from collectors.span_pulled import Pulled
from collectors.span_whole import MOST_TEXT, whole_from_otlp
from collectors.trace_pull import MOST_SPANS, fetch_trace, link
from tests.support import recorded
from tests.support.fake_traces import TEXT, FakeJaeger, FakeTempo, FakeTraces, call, steady
from tests.support.http_fake import Reply
from tests.support.spans import S, calls, trace_bytes

BEGIN = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
FAKES = {"jaeger": FakeJaeger, "tempo": FakeTempo}
ASKED = {"jaeger": "/api/services", "tempo": "/api/search"}
EDGES = {"user>gateway", "gateway>catalog", "catalog>postgresql@pg-1:5432"}


@pytest.fixture(params=sorted(FAKES))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def backend(kind: str) -> Iterator[FakeTraces]:
    with FAKES[kind]() as fake:
        yield fake


class Looking:
    """One collector with its joiner."""

    def __init__(self, backend: FakeTraces, kind: str, *, page: int | None = None, **settings) -> None:
        given = TraceBackend(kind=kind, url=backend.url, **settings)
        self.backend = backend
        self.joiner = OtlpCollector("test", pulled=Pulled(given.look_back))
        more = {} if page is None else {"page": page}
        self.collector = load_kind(kind)("test", given, sink=self.joiner, **more)

    def at(self, seconds: float):
        """What a look says in its notices, and the calls known after it."""
        now = BEGIN + timedelta(seconds=seconds)
        window = Window(now - timedelta(seconds=60), now)
        self.backend.now = now
        with clock.frozen_at(now):
            notices = self.collector.pull(window).notices
            return notices, calls(self.joiner.pull(window))


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_told_as_such(backend, kind, status):
    backend.override[ASKED[kind]] = Reply(status, b"no", TEXT)
    with pytest.raises(SourceRefused, match=str(status)):
        Looking(backend, kind).at(30)


def test_tenant_and_token_are_sent(backend, kind):
    Looking(backend, kind, tenant="shop", bearer_token=Secret("abc")).at(30)
    sent = backend.server.requests[0].headers
    assert (sent["x-scope-orgid"], sent["authorization"]) == ("shop", "Bearer abc")


def test_after_a_429_nothing_is_asked_before_its_pause_is_over(backend, kind):
    backend.override[ASKED[kind]] = Reply(429, b"slow down", {**TEXT, "Retry-After": "120"})
    looking = Looking(backend, kind)
    with pytest.raises(SourceUnavailable, match="slow down; asked again in 120 s"):
        looking.at(30)
    backend.override.clear()
    with pytest.raises(SourceUnavailable, match="asked for a pause"):
        looking.at(45)
    assert len(backend.server.requests) == 1


def test_a_backend_that_hangs_is_left_at_the_timeout(backend, kind):
    backend.server.hang()
    looking = Looking(backend, kind, query_timeout=timedelta(milliseconds=200))
    with pytest.raises(SourceUnavailable, match="did not answer within"):
        looking.at(30)
    backend.server.release()


def test_a_backend_that_is_down_says_so_and_is_read_on_when_it_is_back(backend, kind):
    steady([backend], begin=BEGIN + timedelta(seconds=0.5), seconds=60, per_second=1)
    looking = Looking(backend, kind)
    looking.at(40)
    backend.server.down()
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        looking.at(55)
    backend.server.up()
    _, found = looking.at(76)  # the picture is that of the first minute
    assert {name: count for name, (count, _) in found.items()} == dict.fromkeys(EDGES, 60)


@pytest.mark.parametrize(
    "body", [b'{"data": [{"tra', b"\xff\xfe", b"[" * 100_000, b'{"data": 7, "traces": 7}']
)
def test_an_answer_that_is_cut_short_or_foreign_is_nonsense(backend, kind, body):
    backend.override["/api/services"] = backend.override["/api/search"] = Reply(200, body)
    with pytest.raises(SourceNonsense, match="answered something that is no"):
        Looking(backend, kind).at(30)


def test_a_backend_without_traces_is_well_and_tells_of_nothing(backend, kind):
    assert Looking(backend, kind).at(30) == ((), {})


def test_a_full_answer_is_asked_again_in_smaller_pieces(backend, kind):
    steady([backend], begin=BEGIN, seconds=10, per_second=8)
    notices, found = Looking(backend, kind, page=20).at(40)
    assert notices == ()
    assert {name: count for name, (count, _) in found.items()} == dict.fromkeys(EDGES, 80)


def test_a_jaeger_that_gives_fewer_traces_than_asked_for_is_found_out():
    with FakeJaeger() as backend:
        steady([backend], begin=BEGIN, seconds=10, per_second=5)
        backend.cap = 20
        notices, found = Looking(backend, "jaeger").at(40)
    assert any("No answer holds more than 20 traces" in note for note in notices)
    assert found["gateway>catalog"] == (50, 0)


def test_a_jaeger_that_ignores_the_time_asked_for_is_nonsense():
    with FakeJaeger() as backend:
        steady([backend], begin=BEGIN - timedelta(hours=3), seconds=10, per_second=3)
        backend.ignores_time = True
        with pytest.raises(SourceNonsense, match="outside the time"):
            Looking(backend, "jaeger").at(40)


def test_five_thousand_services_are_asked_bit_by_bit_and_those_that_traces_begin_with_each_time():
    with FakeJaeger() as backend:
        steady([backend], begin=BEGIN, seconds=60, per_second=1)
        backend.more_services = [f"idle-{number}" for number in range(5000)]
        looking = Looking(backend, "jaeger", interval=timedelta(minutes=10), look_back=timedelta(minutes=20))
        looking.collector.chance.seed(3)
        notices, _ = looking.at(40)
        assert any("4502 of 5002 services have not been asked yet" in note for note in notices)
        assert len(backend.server.requests) < 520


def test_a_hostile_trace_id_never_becomes_part_of_an_address():
    with FakeTempo() as backend:
        said = b'{"traces": [{"traceID": "../../admin", "startTimeUnixNano": "1795435200000000000"}]}'
        backend.override["/api/search"] = Reply(200, said)
        Looking(backend, "tempo").at(20)
        assert backend.asked("/api/traces") == []


# One trace ------------------------------------------------------------------------------------------------------


def config_of(*backends: FakeTraces, **more) -> Config:
    given = tuple(
        TraceBackend(
            kind="jaeger" if isinstance(one, FakeJaeger) else "tempo", url=one.url, name=f"b{at}", **more
        )
        for at, one in enumerate(backends)
    )
    return Config(clusters=(Cluster(name="eu", traces=given),))


def id_of(number: int) -> str:
    return trace_bytes(call(number)[0].trace).hex()


def test_one_trace_is_read_whole(backend):
    backend.add(*call(1, error=True), now=BEGIN)
    trace = fetch_trace(config_of(backend), "eu", id_of(1))
    assert trace is not None
    assert (trace.cluster, trace.trace_id, len(trace.spans), trace.cut) == ("eu", id_of(1), 4, 0)
    by_id = {one.span_id[-1]: one for one in trace.spans}
    assert (by_id["1"].parent_id, by_id["2"].parent_id) == ("", by_id["1"].span_id)
    assert (by_id["2"].service, by_id["2"].kind, by_id["2"].status) == ("gateway", SpanKind.CLIENT, "error")
    assert by_id["2"].attributes["peer.service"] == "catalog"
    assert (by_id["2"].namespace, by_id["2"].duration) == ("shop", 30_000_000)


def test_the_first_backend_that_knows_a_trace_gives_it():
    with FakeJaeger() as first, FakeTempo() as second:
        second.add(*call(1), now=BEGIN)
        assert fetch_trace(config_of(first, second), "eu", id_of(1)) is not None
        assert fetch_trace(config_of(first, second), "eu", id_of(2)) is None
        first.server.down()
        assert fetch_trace(config_of(first, second), "eu", id_of(1)) is not None
        with pytest.raises(SourceUnavailable):
            fetch_trace(config_of(first, second), "eu", id_of(2))


@pytest.mark.parametrize("trace_id", ["", "../x", "A" * 32, "0" * 31])
def test_what_is_no_trace_id_is_asked_of_nobody(backend, trace_id):
    assert fetch_trace(config_of(backend), "eu", trace_id) is None
    assert fetch_trace(config_of(backend), "elsewhere", id_of(1)) is None
    assert backend.server.requests == []


def test_a_huge_trace_is_cut_and_says_by_how_much(backend):
    trace = call(1)[0].trace
    backend.add(*(S("a", 1, number, trace=trace) for number in range(1, MOST_SPANS + 6)), now=BEGIN)
    found = fetch_trace(config_of(backend), "eu", id_of(1))
    assert found is not None
    assert (len(found.spans), found.cut) == (MOST_SPANS, 5)


def test_long_texts_are_capped(backend):
    backend.add(S("a", 1, 1, trace=call(1)[0].trace, attributes={"stack": "x" * 9000}), now=BEGIN)
    found = fetch_trace(config_of(backend), "eu", id_of(1))
    assert found is not None
    assert len(str(found.spans[0].attributes["stack"])) == MOST_TEXT


def test_the_link_leads_to_the_page_of_the_trace(backend):
    config = config_of(backend, link="https://ui/trace/{trace_id}?x=1")
    assert link(config, "eu", id_of(1)) == f"https://ui/trace/{id_of(1)}?x=1"
    assert link(config_of(backend), "eu", id_of(1)) is None


def test_a_body_in_json_is_read_whole_too():
    name = "json_sdk_v1_traces-001.json"
    (trace_id, span), *_ = whole_from_otlp((recorded.ROOT / "otlp" / name).read_bytes(), JSON)
    assert len(trace_id) == 32
    assert span.service in ("checkout", "payments")


# Configuration --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ("[{kind: jaeger, url: 'http://j'}, {kind: jaeger, url: 'http://k'}]", "'jaeger' is there twice"),
        ("[{kind: zipkin, url: 'http://j'}]", "not one of jaeger, tempo"),
        ("[{kind: tempo, url: 'http://j', name: traces}]", "name of another source"),
        ("[{kind: tempo, url: 'http://j', link: 'https://ui/'}]", "does not contain {trace_id}"),
        ("[{kind: tempo, url: 'http://j', max_traces: 0}]", "more than zero"),
    ],
)
def test_backends_that_cannot_be_are_refused_by_name(tmp_path, given, wrong):
    file = tmp_path / "quarterdeck.yaml"
    file.write_text(f"clusters: [{{name: eu, traces: {given}}}]")
    with pytest.raises(ConfigError, match=wrong):
        load(file, state_dir=tmp_path, environ={})


def test_two_backends_of_one_kind_need_one_name(tmp_path):
    file = tmp_path / "quarterdeck.yaml"
    file.write_text(
        "clusters: [{name: eu, traces: [{kind: jaeger, url: http://j}, {kind: jaeger, url: http://k, name: b}]}]"
    )
    made = load(file, state_dir=tmp_path, environ={}).clusters[0].traces
    assert [one.called for one in made] == ["jaeger", "b"]
