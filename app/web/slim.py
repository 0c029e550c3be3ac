"""Importing a library without the optional packages that it would take along."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Packages that cannot be imported within; what is imported already stays.

    Socket.IO tries redis, aiohttp and other clients that this side of the socket never uses; they cost a third of
    the time to the first page (docs/performance.md).
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None = "there is no such package"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
