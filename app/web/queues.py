"""How many tasks wait in the queues of the broker."""

from __future__ import annotations

import sys
from typing import Any

NAMES = ("collect", "evaluate", "act")
_SECONDS = 1.0


def waiting(broker: str, names: tuple[str, ...] = NAMES) -> dict[str, int | None]:
    """Tasks by queue that no worker has taken yet; None = not known here.

    The broker in memory (`memory:`) is seen from its own process only; Redis is asked, for a second at most.
    """
    if broker.startswith("memory:"):
        return _in_memory(names)
    if broker.startswith(("redis:", "rediss:")):
        return _in_redis(broker, names)
    return dict.fromkeys(names)


def _in_memory(names: tuple[str, ...]) -> dict[str, int | None]:
    transport: Any = sys.modules.get(
        "kombu.transport.memory"
    )  # loaded where the broker lives, and only there
    queues = transport.Channel.queues if transport is not None else {}
    return {name: queues[name].qsize() if name in queues else None for name in names}


def _in_redis(broker: str, names: tuple[str, ...]) -> dict[str, int | None]:
    import redis  # most processes never need it

    try:
        with redis.Redis.from_url(broker, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS) as client:
            return {name: int(str(client.llen(name))) for name in names}
    except (redis.RedisError, ValueError):
        return dict.fromkeys(names)
