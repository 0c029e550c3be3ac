"""What `quarterdeck check` looks at beyond the text of the configuration: files, addresses, and the installation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

from app.config import Config
from app.errors import Problem

IMPORT_NAMES = ("app", "collectors", "alerts")


def problems(config: Config) -> list[Problem]:
    """Everything that would stop this configuration from working here, or nothing."""
    return [*_addresses(config), *_files(config), *clashes(packages_distributions())]


def clashes(owners: Mapping[str, Sequence[str]]) -> list[Problem]:
    """Other distributions that bring an import name of ours; `owners` is import name -> distributions."""
    words = "also belongs to {}: install quarterdeck into an environment of its own"
    return [
        Problem(f"import name {name!r}", words.format(", ".join(others)))
        for name in IMPORT_NAMES
        if (others := sorted(set(owners.get(name, ())) - {"quarterdeck"}))
    ]


def _addresses(config: Config) -> Iterator[Problem]:
    if config.otlp.listen is not None and config.otlp.listen == config.server.listen:
        yield Problem(
            "otlp.listen", "is the address of server.listen, which takes traces anyway: leave it out"
        )


def _files(config: Config) -> Iterator[Problem]:
    for place, cluster in enumerate(config.clusters):
        at = f"clusters[{place}]"
        if cluster.prometheus is not None:
            for name in ("ca_file", "cert_file", "key_file"):
                yield from _readable(f"{at}.prometheus.tls.{name}", getattr(cluster.prometheus.tls, name))
        for number, backend in enumerate(cluster.traces):
            for name in ("ca_file", "cert_file", "key_file"):
                yield from _readable(f"{at}.traces[{number}].tls.{name}", getattr(backend.tls, name))
        if cluster.kubernetes is not None:
            yield from _readable(f"{at}.kubernetes.kubeconfig", cluster.kubernetes.kubeconfig)
            if cluster.kubernetes.act is not None:
                yield from _readable(f"{at}.kubernetes.act.kubeconfig", cluster.kubernetes.act.kubeconfig)


def _readable(where: str, file: Path | None) -> Iterator[Problem]:
    if file is not None and not os.access(file, os.R_OK):
        yield Problem(
            where, f"{file} {'may not be read by this user' if file.exists() else 'does not exist'}"
        )
