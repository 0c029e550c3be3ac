"""`quarterdeck demo` as a person runs it."""

import json
import os
import signal
import socket
import urllib.request

import pytest

from tests.support.api import Api
from tests.support.prometheus_server import free_port
from tests.support.running import quarterdeck, signed_in
from tests.support.until import until

pytestmark = pytest.mark.timeout(300)  # whole processes start, on a busy machine too


def _children(process):
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        return [int(word) for word in file.read().split()]


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


def _scenario(state):
    told = json.loads((state / "demo-targets.json").read_text())
    with urllib.request.urlopen(f"{told['control']}/scenario", timeout=5) as answer:
        return json.load(answer)


def test_it_shows_the_fleet_and_leaves_nothing_behind_however_it_ends(tmp_path):
    words = ("demo", "--state-dir", tmp_path, "--port", free_port())
    with quarterdeck(*words, "--scenario", "traffic-surge") as demo:
        address = demo.line(r"^Listening on (http://\S+)$", seconds=90)[1]
        known = json.loads((tmp_path / "demo-credentials.json").read_text())
        assert (tmp_path / "demo-credentials.json").stat().st_mode & 0o777 == 0o600
        assert known["url"] == address
        with signed_in(address, known["username"], known["password"]) as session:
            assert session.get(f"{address}/", timeout=10).ok
        demo.line("Scenario +traffic-surge, in 60 s")
        assert (_scenario(tmp_path)["name"], _scenario(tmp_path)["state"]) == ("traffic-surge", "waiting")
        assert Api(address, known["token"]).nodes("demo:shop:order", seconds=60)
        pids = _children(demo.process)
        assert len(pids) >= 2
        assert demo.end(signal.SIGINT) == 0
        assert not [pid for pid in pids if _alive(pid)]
        assert "Traceback" not in demo.errors
    with quarterdeck(*words, "--seed", "2") as demo:
        demo.line("The fleet is another one than last time")
        demo.line(r"^Listening on", seconds=90)
        assert json.loads((tmp_path / "demo-credentials.json").read_text()) == known
        pids = _children(demo.process)
        demo.end(signal.SIGKILL)
        until(lambda: not [pid for pid in pids if _alive(pid)])


def test_a_taken_port_is_told_before_anything_starts(tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        with quarterdeck("demo", "--state-dir", tmp_path, "--port", port) as demo:
            assert demo.process.wait(20) == 1
    assert f"port {port} cannot be had: choose another one with --port" in demo.errors
    assert not list(tmp_path.glob("*.log"))


@pytest.mark.parametrize("name", ["fire", ""])
def test_an_unknown_scenario_is_usage_and_the_names_are_told(tmp_path, name):
    with quarterdeck("demo", "--state-dir", tmp_path, "--scenario", name) as demo:
        assert demo.process.wait(20) == 2
    assert "there are bad-deploy, " in demo.errors
