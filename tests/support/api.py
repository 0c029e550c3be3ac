"""The API of a running server, as a program uses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from tests.support.running import finished
from tests.support.until import until


@dataclass(frozen=True)
class Api:
    """An address and a token."""

    address: str
    token: str

    def get(self, path: str) -> Any:
        """The body of a read that is answered with 200."""
        answer = requests.get(f"{self.address}/api/v1/{path}", headers=self._headers, timeout=15)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: object) -> requests.Response:
        """The answer to a write."""
        return requests.post(f"{self.address}/api/v1/{path}", json=body, headers=self._headers, timeout=30)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def nodes(self, *wanted: str, seconds: float = 60.0) -> dict[str, dict[str, Any]]:
        """The nodes, once all `wanted` have a place and a known health."""

        def look() -> dict[str, dict[str, Any]] | None:
            found = {node["id"]: node for node in self.get("topology")["nodes"]}
            return found if all(_settled(found.get(one)) for one in wanted) else None

        return until(look, seconds=seconds, pause=0.5)

    def past(self, service: str) -> dict[int, float]:
        """Requests per second of each minute that history knows of."""
        found = self.get(f"services/{service}/series?metric=rate&step=1m")
        rates = found["series"][0]["y"]
        return {found["t0"] + 60 * place: rate for place, rate in enumerate(rates) if rate is not None}

    def plan_scale(self, name: str, replicas: int) -> requests.Response:
        """Propose to scale a Deployment of the demo's shop."""
        target = {"cluster": "demo", "namespace": "shop", "kind": "Deployment", "name": name}
        body = {"kind": "scale", "target": target, "params": {"replicas": replicas}, "reason": "a test"}
        return self.post("actions", body)

    def action(self, action_id: str, *states: str, seconds: float = 60.0) -> dict[str, Any]:
        """An action, once it is in one of these states."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.get(f"actions/{action_id}")
            return found if found["state"] in states else None

        return until(look, seconds=seconds, pause=0.5)

    def execute(self, action: dict[str, Any]) -> requests.Response:
        """Confirm a plan."""
        body = {"plan_hash": action["plan_hash"], "confirmation": action["target"]["name"]}
        return self.post(f"actions/{action['id']}/execute", body)


def _settled(node: dict[str, Any] | None) -> bool:
    return node is not None and node["x"] is not None and node["health"]["status"] != "unknown"


def token(*where: object, scope: str = "responder", **environment: str) -> str:
    """A token made on the command line; `where` are --state-dir or --config."""
    words = ("token", "create", "--name", "test", "--scope", scope, "--expires", "1d")
    code, out, err = finished(*words, *where, **environment)
    assert code == 0, err
    return out.strip()
