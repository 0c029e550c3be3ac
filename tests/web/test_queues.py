"""How many tasks wait, by broker."""

from __future__ import annotations

from kombu import Connection

from app.web.queues import waiting
from tests.support import redis_server
from tests.support.prometheus_server import free_port

HERE, NOWHERE = "counted-here", "declared-nowhere"


def send(broker: str, count: int) -> None:
    with Connection(broker) as connection, connection.SimpleQueue(HERE) as queue:
        for number in range(count):
            queue.put({"number": number})


def test_the_broker_in_memory_is_counted_and_an_unknown_queue_is_null():
    send("memory://localhost", 2)
    assert waiting("memory://", (HERE, NOWHERE)) == {HERE: 2, NOWHERE: None}


def test_redis_is_counted():
    with redis_server.running() as broker:
        send(broker, 3)
        assert waiting(broker, (HERE, NOWHERE)) == {HERE: 3, NOWHERE: 0}


def test_a_redis_that_does_not_answer_is_unknown_and_never_empty():
    broker = f"redis://127.0.0.1:{free_port()}/0"
    assert waiting(broker, (HERE,)) == {HERE: None}
    assert waiting("redis://:wrong port:/", (HERE,)) == {HERE: None}
