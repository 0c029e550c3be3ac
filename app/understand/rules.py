"""Identity rules of the configuration: patterns over what a source told, and the service they name."""

from __future__ import annotations

import re
from typing import Protocol

from app.model.fleet import Identity


class Rule(Protocol):
    """A configured mapping: when every regex of `match` fits its Identity field, the party is `service`."""

    @property
    def match(self) -> dict[str, str]:
        """Identity field -> regex that must fit the whole value."""
        ...

    @property
    def service(self) -> str:
        """Name to give; `$1`, `$2` … are the groups of the regexes, those of `name` first."""
        ...

    @property
    def namespace(self) -> str | None:
        """Namespace to give, groups allowed; empty = the party's own."""
        ...


class CompiledRule:
    """A Rule with its regexes compiled once per resolver."""

    def __init__(self, rule: Rule) -> None:
        ordered = sorted(
            rule.match.items(), key=lambda item: item[0] != "name"
        )  # $1 is the name's first group
        self._patterns = [(name, re.compile(pattern)) for name, pattern in ordered]
        self._service, self._namespace = rule.service, rule.namespace or ""
        self.text = ", ".join(f"{name}={pattern}" for name, pattern in rule.match.items())

    def target(self, identity: Identity) -> tuple[str, str] | None:
        """(service, namespace) for a party that every pattern fits."""
        groups: list[str] = []
        for name, pattern in self._patterns:
            match = pattern.fullmatch(str(getattr(identity, name, "")))
            if match is None:
                return None
            groups += [group or "" for group in match.groups()]
        return _expand(self._service, groups), _expand(self._namespace, groups) or identity.namespace


def _expand(template: str, groups: list[str]) -> str:
    def group(match: re.Match[str]) -> str:
        index = int(match.group(1))
        return groups[index - 1] if 0 < index <= len(groups) else ""

    return re.sub(r"\$(\d)", group, template)
