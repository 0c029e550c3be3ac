"""The simulator as a process: what it writes, what it answers, how it ends and starts again."""

import json
import signal
import stat
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from demo import addresses
from tests.support.http_fake import HttpFake, Reply
from tests.support.scraping_prometheus import until

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def simulator(state, *more):
    command = [sys.executable, "-m", "demo", "--state-dir", str(state), *more]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process, process.stdout.readline()
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _json(url, body=None):
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def test_it_tells_where_it_is_takes_scenarios_sends_traces_and_ends_cleanly(tmp_path):
    with (
        HttpFake(lambda _request: Reply(200, b"")) as receiver,
        simulator(tmp_path, "--scenario", "bad-deploy", "--otlp", f"{receiver.url}/v1/traces") as (
            process,
            line,
        ),
    ):
        assert line.startswith("Fleet listening on http://127.0.0.1:")
        told = json.loads((tmp_path / "demo-targets.json").read_text())
        assert set(told) == {"prometheus", "kubernetes", "control", "sd"}
        assert told["prometheus"] is None
        for name in ("demo-targets.json", "demo-kubeconfig.yaml", "demo-tokens.json"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        said = _json(f"{told['control']}/scenario")
        assert (said["name"], said["state"]) == ("bad-deploy", "waiting")
        assert _json(f"{told['control']}/scenario", b'{"name": "traffic-surge"}')["state"] == "running"
        pods = [group["labels"]["pod"] for group in _json(told["sd"]) if "pod" in group["labels"]]
        assert sum(pod.startswith("order-") for pod in pods) == 3
        assert until(lambda: len(receiver.requests) > 1, 20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert receiver.requests[0].path == "/v1/traces"


def test_it_comes_back_on_the_same_ports_with_the_same_token(tmp_path):
    told = []
    for _ in range(2):
        with simulator(tmp_path) as (process, line):
            assert line
            told.append(
                (tmp_path / "demo-targets.json").read_text() + (tmp_path / "demo-tokens.json").read_text()
            )
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
    assert told[0] == told[1]


def test_a_taken_port_is_replaced_and_a_spoilt_file_forgotten(tmp_path):
    (tmp_path / "demo-ports.json").write_text("{nonsense")
    with HttpFake(lambda _request: Reply()) as taken:
        (tmp_path / "demo-ports.json").write_text(json.dumps({"fleet": taken.port, "kubernetes": 0}))
        found = addresses.ports(tmp_path, host="127.0.0.1")
    assert found["fleet"] != taken.port
    (tmp_path / "demo-ports.json").write_text("{nonsense")
    assert addresses.ports(tmp_path, host="127.0.0.1")["fleet"] > 0
    assert addresses.ports(tmp_path, host="127.0.0.1", base=9900) == {"fleet": 9900, "kubernetes": 9901}
