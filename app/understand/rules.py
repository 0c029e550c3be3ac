"""Identity rules of the configuration: patterns over what a source told, and the service or group they name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol, TypeGuard, cast

from app.model.fleet import Identity, NodeKind
from app.understand.names import join_address, split_address

_MOST_HOSTS = 10_000  # remembered with what they are called
_LONGEST_HOST = 253  # of a DNS name; what is longer fits no pattern, whatever that would cost
_GROUPED = frozenset({NodeKind.EXTERNAL, NodeKind.DATABASE, NodeKind.CACHE})


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


class HostRule(Protocol):
    """Hosts outside the fleet that fit `match` in full are one node, `name` (with `$1` … of its groups)."""

    @property
    def match(self) -> str:
        """Regex for the host, without port."""
        ...

    @property
    def name(self) -> str:
        """What the group is called."""
        ...


AnyRule = Rule | HostRule


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


class Hosts:
    """Groups of untraced hosts and stores by the patterns of the configuration."""

    def __init__(self, rules: Sequence[HostRule] = ()) -> None:
        self._patterns = [(re.compile(rule.match), rule.name) for rule in rules]
        self._known: dict[str, str] = {}

    def grouped(self, identity: Identity) -> Identity:
        """The identity under the name of its group; an external one has no port and no other name then."""
        if not self._patterns or identity.kind not in _GROUPED or not identity.address:
            return identity
        host, port = split_address(identity.address)
        name = self._known.get(host)
        if name is None:
            if len(self._known) >= _MOST_HOSTS:
                self._known.clear()
            name = self._known[host] = self._name(host)
        if not name:
            return identity
        if identity.kind is NodeKind.EXTERNAL:
            return replace(identity, address=name, name="", alias="", scope="")
        return replace(identity, address=join_address(name, port), scope="")

    def _name(self, host: str) -> str:
        for pattern, name in self._patterns if len(host) <= _LONGEST_HOST else ():
            match = pattern.fullmatch(host)
            if match is not None:
                return _expand(name, [group or "" for group in match.groups()])
        return ""


def compiled(rules: Iterable[AnyRule]) -> tuple[list[CompiledRule], Hosts]:
    """Rules for parties, and those for groups of hosts, each in their order."""
    parties: list[CompiledRule] = []
    hosts: list[HostRule] = []
    for rule in rules:
        if _is_host_rule(rule):
            hosts.append(rule)
        else:
            parties.append(CompiledRule(cast("Rule", rule)))
    return parties, Hosts(hosts)


def _is_host_rule(rule: AnyRule) -> TypeGuard[HostRule]:
    return isinstance(rule.match, str)


def _expand(template: str, groups: list[str]) -> str:
    def group(match: re.Match[str]) -> str:
        index = int(match.group(1))
        return groups[index - 1] if 0 < index <= len(groups) else ""

    return re.sub(r"\$(\d)", group, template)
