"""web, worker, beat and watch as processes of one configuration, over a real PostgreSQL and a real Redis."""

import signal
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import requests

from app.clock import now
from tests.support import postgres, redis_server
from tests.support.api import Api, token
from tests.support.prometheus_server import free_port
from tests.support.running import finished, quarterdeck, signed_in
from tests.support.sockets import Tab
from tests.support.spans import CLIENT, PROTOBUF, SERVER, S, body
from tests.support.until import until

pytestmark = pytest.mark.timeout(300)  # whole processes start, on a busy machine too

KEY = {"QUARTERDECK_SECRET_KEY": "of-several-processes-0123456789abcdefgh"}
PASSWORD = "correct horse battery staple"
ORDER = "demo:shop:order"


@pytest.fixture(scope="module")
def config(fleet, tmp_path_factory):
    """A configuration over a fresh database that nobody has migrated yet."""
    file = tmp_path_factory.mktemp("scaleout") / "quarterdeck.yaml"
    with postgres.running() as database, redis_server.running() as broker:
        yield fleet.config(file, store={"url": database.fresh_database()}, broker={"url": broker})


@pytest.fixture(scope="module")
def parts(config):
    """Every role once migrated: two web, two worker, two beat, one watch."""
    for role in ("web", "worker", "beat", "watch"):
        code, _, err = finished(role, "--config", config, **KEY)
        assert (code, "quarterdeck migrate" in err) == (1, True), (role, err)
    assert finished("migrate", "--config", config, **KEY)[0] == 0
    with ExitStack() as stack:

        def start(*words):
            return stack.enter_context(quarterdeck(*words, "--config", config, **KEY))

        ports = [free_port(), free_port()]
        found = SimpleNamespace(
            webs=[start("web", "--listen", f"127.0.0.1:{port}") for port in ports],
            addresses=[f"http://127.0.0.1:{port}" for port in ports],
            look=start("worker", "--queues", "collect,evaluate"),
            act=start("worker", "--queues", "act"),
            beats=[start("beat"), start("beat")],
            watch=start("watch"),
            start=start,
            token=token("--config", config, **KEY),
        )
        assert [web.address() for web in found.webs] == found.addresses
        for address in found.addresses:
            until(
                lambda address=address: requests.get(f"{address}/readyz", timeout=2).ok, seconds=60, pause=0.2
            )
        yield found


def test_without_a_key_in_common_a_role_is_refused(config):
    code, _, err = finished("web", "--config", config)
    assert (code, "QUARTERDECK_SECRET_KEY_FILE" in err) == (2, True)


def test_a_taken_address_of_web_is_refused_by_the_name_of_its_setting(parts, config):
    taken = parts.addresses[0].removeprefix("http://")
    code, _, err = finished("web", "--listen", taken, "--config", config, **KEY)
    assert (code, f"server.listen: cannot listen on {taken}" in err) == (2, True)


def test_a_broker_in_memory_is_refused_where_others_have_to_be_reached(parts, config):
    for role in ("worker", "beat"):
        code, _, err = finished(role, "--config", config, **KEY, QUARTERDECK_BROKER_URL="memory://")
        assert (code, "broker.url: memory:// reaches no other process" in err) == (2, True)


def test_the_topology_that_worker_and_watch_make_appears_in_every_web(parts):
    for address in parts.addresses:
        nodes = Api(address, parts.token).nodes(ORDER, seconds=90)
        assert nodes[ORDER]["rps"] > 0
        assert nodes[ORDER]["replicas"]["ready"] == 3


def test_a_tab_at_either_web_hears_what_went_stale(parts, config):
    user = ("user", "add", "alice", "--role", "viewer", "--config", config)
    assert finished(*user, stdin=PASSWORD, **KEY)[0] == 0
    for address in parts.addresses:
        with signed_in(address, "alice", PASSWORD) as session:
            secret = session.cookies["qd_dev"]
        tab = Tab(address, secret, origin=address)
        assert tab.next()[0] == "hello"
        assert tab.watch("topology") == []
        event, said = tab.next()
        assert (event, said["topics"]) == ("stale", ["topology"])
        tab.close()


def test_two_halves_of_a_call_sent_to_two_webs_become_one_edge(parts):
    caller, callee = S("left", CLIENT, id=1), S("right", SERVER, id=2, parent=1)
    headers = {"Content-Type": PROTOBUF}
    for address, half in zip(parts.addresses, (caller, callee), strict=True):
        answer = requests.post(f"{address}/v1/traces", body(half, now=now()), headers=headers, timeout=5)
        assert answer.status_code == 200, answer.text
    api = Api(parts.addresses[0], parts.token)

    def joined():
        ends = [(one["source"], one["target"]) for one in api.get("topology")["edges"]]
        return ("demo:shop:left", "demo:shop:right") in ends

    assert until(joined, seconds=40, pause=0.5)


def test_garbage_is_refused_by_the_web_that_does_not_join(parts):
    for address in parts.addresses:
        answer = requests.post(
            f"{address}/v1/traces", b"\xff\xff", headers={"Content-Type": PROTOBUF}, timeout=5
        )
        assert answer.status_code == 400


def test_an_action_is_planned_and_executed_by_the_worker_of_the_act_queue(parts):
    api = Api(parts.addresses[0], parts.token)
    api.nodes(ORDER)
    answer = api.plan_scale("order", 4)
    assert answer.status_code in (201, 202), answer.text
    planned = api.action(answer.json()["id"], "planned")
    assert planned["plan"]["summary"] == "Scale order from 3 to 4 replicas"
    assert api.execute(planned).status_code == 200
    api.action(planned["id"], "verifying", "succeeded", "inconclusive")
    until(lambda: api.nodes(ORDER)[ORDER]["replicas"]["desired"] == 4, seconds=30, pause=0.5)


def test_when_the_beat_that_speaks_is_killed_the_other_takes_over(parts):
    speaks = [beat for beat in parts.beats if "keeps the timetable" in beat.errors]
    assert len(speaks) == 1
    speaks[0].end(signal.SIGKILL)
    other = next(beat for beat in parts.beats if beat is not speaks[0])
    other.line("this process keeps the timetable", seconds=30)
    assert other.end() == 0


def test_every_role_ends_cleanly(parts):
    for part in (*parts.webs, parts.look, parts.act, parts.watch):
        assert part.end() == 0, part.errors
        assert "Traceback" not in part.errors
