"""The demo fleet as a process, a real Prometheus that scrapes it every second, and a configuration for both."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.running import running
from tests.support.scraping_prometheus import scraping


@dataclass(frozen=True)
class Fleet:
    """Where its parts are."""

    prometheus: str
    kubeconfig: Path
    control: str

    def config(self, file: Path, **top: object) -> Path:
        """A configuration file that watches it; `top` are further top-level sections."""
        kubernetes = {"kubeconfig": str(self.kubeconfig), "act": {"kubeconfig": str(self.kubeconfig)}}
        prometheus = {"url": self.prometheus, "interval": "2s"}
        clusters = [{"name": "demo", "prometheus": prometheus, "kubernetes": kubernetes}]
        file.write_text(json.dumps({"clusters": clusters, **top}))  # JSON is YAML
        return file


@contextmanager
def fleet(directory: Path, *more: str) -> Iterator[Fleet]:
    """Start both and hand over where they are."""
    with running(sys.executable, "-m", "demo", "--state-dir", str(directory), *more) as process:
        process.line("^Fleet listening")
        told = json.loads((directory / "demo-targets.json").read_text())
        found = f"http_sd_configs: [{{url: '{told['sd']}', refresh_interval: 5s}}]"
        jobs = f"scrape_configs: [{{job_name: fleet, honor_labels: true, {found}}}]"
        config = f"global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n{jobs}\n"
        with scraping(config, directory) as prometheus:
            yield Fleet(prometheus, directory / "demo-kubeconfig.yaml", told["control"])
