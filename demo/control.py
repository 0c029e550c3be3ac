"""The control address of the demo: which scenario runs, start one, end it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from demo.scenario import Director, ScenarioImpossible, UnknownScenario

_LONGEST_WAIT = 86_400
Answer = tuple[int, dict[str, Any]]


class Control:
    """`GET /scenario` and `POST /scenario {"name": …|null, "after_seconds": …}`; both answer (status, body)."""

    def __init__(self, director: Director) -> None:
        self._director = director

    def get(self) -> Answer:
        """Name, onset, state, and the names there are."""
        return 200, self._director.said()

    def post(self, body: bytes) -> Answer:
        """Start the named scenario, at once unless `after_seconds` says later, or end the present one (name null)."""
        try:
            wanted = json.loads(body)
        except ValueError:
            wanted = None
        if not isinstance(wanted, dict) or "name" not in wanted:
            return 400, {"error": 'a JSON object like {"name": "traffic-surge"} is wanted'}
        name, after = wanted["name"], wanted.get("after_seconds", 0)
        if name is None:
            self._director.end()
            return self.get()
        if not isinstance(name, str):
            return 400, {"error": "name must be a scenario's name, or null to end the present one"}
        if isinstance(after, bool) or not isinstance(after, int | float) or not 0 <= after <= _LONGEST_WAIT:
            return 400, {"error": f"after_seconds must be a number from 0 to {_LONGEST_WAIT}"}
        return self._start(name, timedelta(seconds=after))

    def _start(self, name: str, after: timedelta) -> Answer:
        try:
            if after:
                self._director.schedule(name, after)
            else:
                self._director.start(name)
        except UnknownScenario as unknown:
            return 404, {"error": str(unknown)}
        except ScenarioImpossible as impossible:
            return 409, {"error": str(impossible)}
        return self.get()
