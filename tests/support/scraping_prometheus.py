"""A real Prometheus that scrapes what it is told to, started in a directory of the test."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.prometheus_server import _binary, _until_ready, free_port


@contextmanager
def scraping(config: str, directory: Path, data: Path | None = None) -> Iterator[str]:
    """Its URL, while it runs with this prometheus.yml (and these blocks, if any)."""
    file = directory / "prometheus.yml"
    file.write_text(config)
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        _binary("prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={data or directory / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--log.level=error",
    ]
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _until_ready(url, process)
            yield url
        finally:
            process.terminate()
            process.wait(20)


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
