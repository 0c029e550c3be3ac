"""`kill -9` of serve, and what is there after the next start."""

import json
import signal

import pytest

from tests.support.api import Api, token
from tests.support.running import finished, serving
from tests.support.until import until

pytestmark = pytest.mark.timeout(300)  # whole processes start, on a busy machine too

ORDER = "demo:shop:order"
RUNNING = ("executing", "verifying", "succeeded", "inconclusive", "failed")


def _api(serve, state):
    return Api(serve.address(), token("--state-dir", state))


def _sent(state, action):
    """Audit rows that tell of a write of this action."""
    _, log, _ = finished("audit", "export", "--state-dir", state)
    rows = [json.loads(line) for line in log.splitlines()]
    return [row for row in rows if row["what"] == "scale.send" and row["detail"]["action"] == action["id"]]


def _places(nodes):
    return {name: (node["x"], node["y"]) for name, node in nodes.items()}


def test_after_a_kill_history_places_health_and_actions_are_there_and_nothing_is_repeated(fleet, tmp_path):
    state, config = tmp_path / "state", fleet.config(tmp_path / "quarterdeck.yaml")
    with serving(state, "--config", config) as serve:
        api = _api(serve, state)
        api.nodes(ORDER)
        past = until(lambda: api.past(ORDER), seconds=90, pause=1.0)
        until(lambda: api.nodes(ORDER)[ORDER]["replicas"]["desired"], seconds=60, pause=1.0)
        before = api.nodes(ORDER)
        planned = api.plan_scale("order", before[ORDER]["replicas"]["desired"] + 1)
        assert planned.status_code == 201, planned.text
        action = planned.json()
        assert api.execute(action).status_code == 200
        serve.end(signal.SIGKILL)
    with serving(state, "--config", config) as serve:
        api = Api(serve.address(), api.token)
        after = api.nodes(ORDER)
        assert _places(after) | _places(before) == _places(after)
        assert after[ORDER]["health"]["since"] == before[ORDER]["health"]["since"]
        assert api.past(ORDER).items() >= past.items()
        assert api.action(action["id"], *RUNNING)["plan_hash"] == action["plan_hash"]
        assert serve.end() == 0
        assert finished("audit", "verify", "--state-dir", state)[0] == 0
        assert len(_sent(state, action)) == 1
