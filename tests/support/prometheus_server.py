"""A real Prometheus on a free port, over blocks made by promtool from OpenMetrics text: time is in the data."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INSTALL = "apt-get install -y prometheus"


def _binary(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed; install it with: {INSTALL}")
    return found


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def prometheus_over(openmetrics: str, directory: Path) -> Iterator[str]:
    """The URL of a Prometheus whose history is `openmetrics` (text with timestamps, ending in # EOF)."""
    data = directory / "data"
    source = directory / "history.om"
    source.write_text(openmetrics)
    subprocess.run(
        [_binary("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(source), str(data)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    with serving(
        "global: {scrape_interval: 15s}\n", directory, data, "--storage.tsdb.retention.time=10y"
    ) as url:
        yield url


@contextmanager
def serving(config: str, directory: Path, data: Path, *options: str) -> Iterator[str]:
    """The URL of a Prometheus with this prometheus.yml over that data directory, while it runs."""
    file = directory / "prometheus.yml"
    file.write_text(config)
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        _binary("prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--log.level=error",
        *options,
    ]
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _until_ready(url, process)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Polls the ready page; the process's own end or 30 s end the wait."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError("prometheus did not become ready")
