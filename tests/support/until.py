"""Waiting for another thread: asks again until it is so, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    ask: Callable[[], T],
    *,
    seconds: float = 15.0,
    pause: float = 0.01,
    give_up: type[Exception] | tuple[()] = (),
) -> T:
    """The first truthy answer. Exceptions count as no; the last one is raised at the end, `give_up` at once."""
    end = time.monotonic() + seconds
    last: Exception | None = None
    while time.monotonic() < end:
        try:
            if answer := ask():
                return answer
            last = None
        except give_up:
            raise
        except Exception as error:
            last = error
        time.sleep(pause)
    if last is not None:
        raise last
    raise AssertionError("it did not become so in time")
