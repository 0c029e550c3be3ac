"""Bodies handed over between receivers, through a real Redis."""

import pytest
import redis

from app import spans
from app.clock import now
from app.model.series import Window
from app.spans import SharedSpans
from collectors.otlp import OtlpCollector
from collectors.otlp_body import Full, Malformed
from tests.support import redis_server
from tests.support.spans import CLIENT, PROTOBUF, SERVER, S, body, calls
from tests.support.until import until


@pytest.fixture
def broker():
    with redis_server.running() as url:
        yield url


@pytest.fixture
def pair(broker):
    """The one that joins, and one that hands over."""
    joins, other = (SharedSpans(OtlpCollector("demo"), broker) for _ in range(2))
    joins.start()
    yield joins, other
    for one in (joins, other):
        one.close()
        one._redis.close()


def _half(**more):
    return body(S("left", CLIENT, id=1, **more), now=now())


def _joined(collector):
    moment = now()
    return calls(collector.pull(Window(moment, moment)))


def test_halves_that_came_to_two_receivers_are_one_call(pair):
    joins, other = pair
    assert other.ingest(_half(), PROTOBUF).accepted == 1
    joins.ingest(body(S("right", SERVER, id=2, parent=1), now=now()), PROTOBUF)
    assert until(lambda: _joined(joins).get("left>right")) == (1.0, 0.0)


def test_garbage_is_refused_where_it_arrives_and_not_handed_over(pair, broker):
    _, other = pair
    with pytest.raises(Malformed):
        other.ingest(b"\xff\xff", PROTOBUF)
    with redis.Redis.from_url(broker) as client:
        assert client.llen("quarterdeck:spans:demo") == 0


def test_what_waits_is_bounded_and_taken_by_whoever_joins_next(broker, monkeypatch):
    packed = len(_half()) + len(f"{PROTOBUF}\n\n")
    monkeypatch.setattr(spans, "MOST_WAITING_BYTES", 2 * packed)
    one, other = (SharedSpans(OtlpCollector("demo"), broker) for _ in range(2))
    for trace in (1, 2):
        one.ingest(_half(trace=trace), PROTOBUF)
    with pytest.raises(Full, match="too many spans wait"):
        one.ingest(_half(trace=3), PROTOBUF)
    other.start()
    until(lambda: one._redis.llen("quarterdeck:spans:demo") == 0)
    assert one.ingest(_half(trace=3), PROTOBUF).accepted == 1
    for each in (one, other):
        each.close()
        each._redis.close()


def test_without_a_broker_the_sender_is_asked_to_come_back():
    with redis_server.running() as url:
        pass
    alone = SharedSpans(OtlpCollector("demo"), url)
    with pytest.raises(Full, match="the broker does not answer"):
        alone.ingest(_half(), PROTOBUF)
    alone._redis.close()
