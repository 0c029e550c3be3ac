"""The beat of the simulator: once a second of wall time the scenario, the cluster and the model move on."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from app import clock
from demo.model import Fleet
from demo.scenario import Director
from demo.sender import Sender
from demo.traces import Tracer

_LOG = logging.getLogger("quarterdeck.demo.loop")
_TICK = 1.0
_LONGEST_STEP = 1.0  # seconds of model time
_GIVE_UP_BEHIND = 5.0


class Clockwork(Protocol):
    """Something that lives in model time (the simulated cluster)."""

    def step(self, now_seconds: float) -> None:
        """Live until this moment (s since 1970)."""
        ...


class Loop:
    """Drives one fleet; `speed` is model seconds per second of wall time."""

    def __init__(
        self,
        fleet: Fleet,
        cluster: Clockwork,
        director: Director,
        *,
        speed: float,
        tracer: Tracer,
        sender: Sender | None,
    ) -> None:
        self._fleet, self._cluster, self._director = fleet, cluster, director
        self._speed = speed
        self._tracer, self._sender = tracer, sender

    def run(self, stop: threading.Event) -> None:
        """Tick until told to stop; a tick that failed is logged and the next one tried."""
        due = clock.monotonic()
        while not stop.wait(max(0.0, due - clock.monotonic())):
            try:
                self.tick(_TICK)
            except Exception:
                _LOG.exception("a step of the fleet failed")
            due += _TICK
            if clock.monotonic() - due > _GIVE_UP_BEHIND:
                _LOG.warning("the fleet cannot keep up; model time is skipped")
                due = clock.monotonic()

    def tick(self, seconds: float) -> None:
        """One beat of `seconds` wall time, in steps of at most a second of model time."""
        left = seconds * self._speed
        while left > 1e-9:
            dt = min(left, _LONGEST_STEP)
            self._director.tick()
            self._cluster.step(self._fleet.moment + dt)
            self._fleet.step(dt)
            left -= dt
        if self._sender is not None:
            with self._fleet.lock:
                bodies = self._tracer.flush(clock.now().timestamp(), seconds, self._speed)
            self._sender.offer(bodies.written())
