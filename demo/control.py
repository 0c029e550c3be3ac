"""The control address of the demo: which scenario runs, start one, end it."""

from __future__ import annotations

import json
from typing import Any

from demo.scenario import Director, ScenarioImpossible, UnknownScenario


class Control:
    """`GET /scenario` and `POST /scenario {"name": …|null}`; both answer (status, body)."""

    def __init__(self, director: Director) -> None:
        self._director = director

    def get(self) -> tuple[int, dict[str, Any]]:
        """Name, onset, state, and the names there are."""
        return 200, self._director.said()

    def post(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """Start the named scenario at once, or end the present one (name null)."""
        try:
            wanted = json.loads(body)
        except ValueError:
            return 400, {"error": 'a JSON object like {"name": "traffic-surge"} is wanted'}
        name = wanted.get("name", "") if isinstance(wanted, dict) else ""
        if name is None:
            self._director.end()
            return self.get()
        if not isinstance(name, str) or not name:
            return 400, {"error": "name must be a scenario's name, or null to end the present one"}
        try:
            self._director.start(name)
        except UnknownScenario as unknown:
            return 404, {"error": str(unknown)}
        except ScenarioImpossible as impossible:
            return 409, {"error": str(impossible)}
        return self.get()
