"""A real Prometheus that scrapes what it is told to, started in a directory of the test."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.prometheus_server import serving


@contextmanager
def scraping(config: str, directory: Path, data: Path | None = None) -> Iterator[str]:
    """Its URL, while it runs with this prometheus.yml (and these blocks, if any)."""
    with serving(config, directory, data or directory / "data") as url:
        yield url


def ask(url: str, query: str, at: float | None = None) -> dict[str, float]:
    """Answer of an instant query, by the value of its one label (or "" without labels)."""
    form = {"query": query} | ({"time": str(at)} if at else {})
    with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode(form)}", timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return {next(iter(row["metric"].values()), ""): float(row["value"][1]) for row in found}


def until(true: Callable[[], bool], seconds: float = 40.0) -> bool:
    """Whether it became true while waiting for the world outside this process."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.2)
    return False
