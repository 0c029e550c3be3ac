"""One node out of the many names that sources use for it (reference: topology 7.3, 7.4).

A Resolver answers for one tick: it is taught all parties first (`learn`), because a bare `service.name` or
host can only be placed when every fully named service is known. Which rule matched is said on the node.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.model.fleet import CONNECTIONS, Identity, NodeKind, inferred_id, service_id
from app.model.inventory import Inventory, KubeService, Workload
from app.understand import names
from app.understand.rules import AnyRule, compiled
from app.understand.workloads import Workloads, owner_label

__all__ = ["AnyRule", "Party", "Resolver"]


@dataclass(frozen=True, slots=True)
class Party:
    """A resolved node without its traffic. `workload` is (kind, name) in `namespace`; `engine` of a store."""

    id: str
    name: str
    kind: NodeKind
    namespace: str | None = None
    workload: tuple[str, str] | None = None
    owner: str | None = None
    detail: str = ""
    matched_by: str = ""
    engine: str = ""


class Resolver:
    """Identity -> Party for one cluster. `inventory` None = Kubernetes was never heard of."""

    def __init__(self, cluster: str, rules: Sequence[AnyRule], inventory: Inventory | None) -> None:
        self.cluster = cluster
        self.workloads = Workloads(inventory)
        self._cluster_part = names.id_part(cluster)
        self._rules, self._hosts = compiled(rules)
        self._parties: dict[Identity, Party] = {}
        self._by_name: dict[str, set[str]] = defaultdict(set)
        self._claimed: dict[str, Party] = {}
        self._stores: dict[str, dict[str, Party]] = defaultdict(dict)
        self._databases: dict[str, set[str]] = defaultdict(set)
        self._externals: dict[str, set[str]] = defaultdict(set)
        self._homes: dict[str, set[str]] = defaultdict(set)

    def learn(self, identities: Iterable[Identity]) -> None:
        """Resolve all parties of a tick: stores first (they claim their workloads), then full names, then bare ones.

        Whoever says less (no port, no engine, no namespace) comes after those who say more.
        """
        todo = [identity for identity in dict.fromkeys(identities) if identity not in self._parties]
        for identity in todo:
            dns = _service_dns(names.split_address(identity.address)[0])
            if dns is not None and dns[2]:
                self._homes[dns[0]].add(dns[1])
        for identity in sorted(todo, key=_learning_order):
            self._parties[identity] = self._resolve(identity)

    def node(self, identity: Identity) -> Party:
        """The node a party is. Two names of one thing give the same `id`."""
        party = self._parties.get(identity)
        if party is None:
            party = self._parties[identity] = self._resolve(identity)
        return party

    def of_workload(self, workload: Workload) -> Party:
        """The node of a workload that Kubernetes alone knows (or of the store that runs in it)."""
        return self._of_workload(workload, "Kubernetes workload")

    def _resolve(self, identity: Identity) -> Party:
        ruled = self._by_rule(identity)
        if ruled is not None:
            return ruled
        if identity.kind is NodeKind.SERVICE and (identity.name or identity.pod or identity.pod_uid):
            return self._service(identity)
        if identity.kind is NodeKind.CLIENT:
            return self._client(identity)
        if identity.kind is NodeKind.QUEUE:
            return self._queue(identity)
        identity = self._hosts.grouped(identity)
        if identity.kind in (NodeKind.DATABASE, NodeKind.CACHE):
            return self._store(identity)
        return self._peer(identity)

    # Services ------------------------------------------------------------------------------------

    def _service(self, identity: Identity) -> Party:
        """Reference 7.4, in its order: pod uid, workload, pod name, service name; else a node of its own."""
        namespace, name = _namespace_and_name(identity)
        pod = self.workloads.pod_by_uid.get(identity.pod_uid) if identity.pod_uid else None
        if pod is not None and (found := self.workloads.of_pod(pod)) is not None:
            return self._of_workload(found, "pod uid")
        named = self.workloads.by_name.get((namespace, identity.workload)) if identity.workload else None
        if named is not None:
            return self._of_workload(named, "workload")
        pod = self.workloads.pod_by_name.get((namespace, identity.pod)) if identity.pod else None
        if pod is not None and (found := self.workloads.of_pod(pod)) is not None:
            return self._of_workload(found, "pod name")
        by_name = self._workload_named(namespace, name)
        if by_name is not None:
            return self._of_workload(*by_name)
        return self._unmatched(namespace, name or identity.workload or identity.pod)

    def _workload_named(self, namespace: str, name: str) -> tuple[Workload, str] | None:
        if not name:
            return None
        if namespace in self.workloads.namespaces:
            return self._in_namespace(namespace, name)
        # A service.namespace that is no Kubernetes namespace, or none at all: only a name that exists once will do.
        homes = self.workloads.namespaces_of.get(name, set())
        found = self._in_namespace(next(iter(homes)), name) if len(homes) == 1 else None
        return (found[0], f"{found[1]}, unique in the cluster") if found else None

    def _in_namespace(self, namespace: str, name: str) -> tuple[Workload, str] | None:
        workload = self.workloads.by_name.get((namespace, name))
        if workload is not None:
            return workload, "service name = workload"
        service = self.workloads.kube_services.get((namespace, name))
        behind = self.workloads.behind(service) if service else None
        if behind is not None:
            return behind, "service name = Kubernetes Service"
        labelled = self.workloads.labelled(namespace, name)
        return (labelled, "service name = app label") if labelled else None

    def _unmatched(self, namespace: str, name: str) -> Party:
        if not namespace:
            known = self._by_name.get(name, set())
            if len(known) == 1:
                namespace = next(iter(known))
                return self._own(namespace, name, "service name alone, unique")
        stores = self._stores.get(name, {})
        if len(stores) == 1:
            return next(iter(stores.values()))
        return self._own(namespace, name, "service name, no workload found")

    def _own(self, namespace: str, name: str, matched_by: str, **extra: str | None) -> Party:
        if namespace:
            self._by_name[name].add(namespace)
        return Party(
            id=service_id(self._cluster_part, names.path_part(namespace), names.path_part(name) or "-"),
            name=names.display(name) or "(unnamed)",
            kind=NodeKind.SERVICE,
            namespace=names.display(namespace) or None,
            owner=extra.get("owner"),
            matched_by=matched_by,
        )

    def _of_workload(self, workload: Workload, matched_by: str) -> Party:
        claimed = self._claimed.get(workload.uid)
        if claimed is not None:
            return claimed
        party = self._own(workload.namespace, workload.name, matched_by, owner=owner_label(workload))
        return replace(party, workload=(workload.kind, workload.name))

    # Peers known by their address ----------------------------------------------------------------

    def _peer(self, identity: Identity) -> Party:
        """An address outside every trace: a service of ours, a well-known engine, or something external."""
        host, port = names.split_address(identity.address)
        if identity.engine:
            return self._store(identity)
        found = self._at(host)
        if found is not None:
            return self._of_workload(found[0], f"{found[1]}, server not traced")
        stores = self._stores.get(self._canonical(host)[0], {})
        if len(stores) == 1 and not port:
            return next(iter(stores.values()))
        for name in (identity.alias, identity.name, host if not names.is_ip(host) else ""):
            known = self._known(name)
            if known is not None:
                return known
        dns = _service_dns(host)
        if dns is not None and dns[2]:
            if identity.detail == CONNECTIONS:  # a store as likely as a service: not called one of ours
                return self._external(identity, self._canonical(host)[0], port)
            return self._own(dns[1], dns[0], "cluster DNS name, server not traced")
        engine = names.engine_of_port(port)
        if engine:
            return self._store(replace(identity, engine=engine), f"well-known port {port}")
        return self._external(identity, host, port)

    def _known(self, name: str) -> Party | None:
        homes = self._by_name.get(name, set()) if name else set()
        if len(homes) == 1:
            return self._service(Identity(name=name, namespace=next(iter(homes))))
        return None

    def _at(self, host: str) -> tuple[Workload, str] | None:
        """The workload behind a host: KubeService by DNS name or cluster IP, or pod by address."""
        if not host:
            return None
        service = self._kube_service(host)
        if service is not None:
            behind = self.workloads.behind(service) or self.workloads.by_name.get(
                (service.namespace, service.name)
            )
            return (behind, "Kubernetes Service address") if behind else None
        pod = self.workloads.pod_by_ip.get(host)
        found = self.workloads.of_pod(pod) if pod else None
        return (found, "pod address") if found else None

    def _kube_service(self, host: str) -> KubeService | None:
        by_ip = self.workloads.kube_service_by_ip.get(host)
        if by_ip is not None:
            return by_ip
        dns = _service_dns(host)
        if dns is not None:
            return self.workloads.kube_services.get((dns[1], dns[0]))
        homes = self.workloads.namespaces_of.get(host, set())
        return self.workloads.kube_services.get((next(iter(homes)), host)) if len(homes) == 1 else None

    def _store(self, identity: Identity, matched_by: str = "") -> Party:
        """A database or cache: engine + host + port; without an address private to its one caller."""
        engine = names.engine_name(identity.engine) or "unknown"
        kind = NodeKind.CACHE if identity.kind is NodeKind.CACHE else names.engine_kind(engine)
        if kind is NodeKind.QUEUE:
            return self._queue(replace(identity, engine=engine, kind=NodeKind.QUEUE))
        host, port = names.split_address(identity.address)
        if not host:
            return self._nameless(identity, kind, engine)
        if names.is_loopback(host):
            shown = f"{engine}@{names.join_address(host, port or names.default_port(engine))}"
            label = f"{shown}~{identity.scope}"
            return self._inferred(kind, label, identity, "loopback of its caller", engine, shown=shown)
        host, workload = self._canonical(host)
        named = self._named_by_database(identity, host)
        if named is not None:
            return named
        there = [one for one in self._stores[host].values() if not identity.engine or one.engine == engine]
        if len(there) == 1 and not (identity.engine and port):
            return there[0]  # who does not say the engine or the port means the only store on that host
        address = names.join_address(host, port or names.default_port(engine))
        party = self._inferred(kind, f"{engine}@{address}", identity, matched_by or "address", engine)
        if workload is not None:
            party = self._claim(workload, party)
        if identity.detail:
            self._databases[identity.detail.lower()].add(host)
        return self._stores[host].setdefault(party.id, party)

    def _named_by_database(self, identity: Identity, host: str) -> Party | None:
        """A service graph may call a store by the name of its database alone: the only store that has one of it."""
        homes = self._databases.get(host, set())
        if identity.engine or self._stores.get(host) or len(homes) != 1:
            return None
        stores = self._stores[next(iter(homes))]
        return next(iter(stores.values())) if len(stores) == 1 else None

    def _claim(self, workload: Workload, store: Party) -> Party:
        """A store that runs in the cluster is one node with its workload; the first engine seen there has it."""
        claimed = self._claimed.get(workload.uid)
        if claimed is not None:
            return claimed if claimed.engine == store.engine else store
        found = replace(
            store,
            namespace=workload.namespace,
            workload=(workload.kind, workload.name),
            owner=owner_label(workload),
            matched_by="address of a workload",
        )
        return self._claimed.setdefault(workload.uid, found)

    def _canonical(self, host: str) -> tuple[str, Workload | None]:
        """The shortest name of a host that is still unambiguous in the cluster, and the workload there."""
        found = self._at(host)
        workload = found[0] if found else None
        service = self._kube_service(host) or (self.workloads.service_of(workload) if workload else None)
        home = service or workload
        if home is None:
            dns = _service_dns(host)
            certain = dns is not None and dns[2] and len(self._homes[dns[0]]) == 1
            return (dns[0] if dns is not None and certain else host), None
        alone = len(self.workloads.namespaces_of.get(home.name, set())) == 1
        return home.name if alone else f"{home.name}.{home.namespace}", workload

    def _nameless(self, identity: Identity, kind: NodeKind, engine: str) -> Party:
        shown = f"{engine} (address unknown) ← {identity.scope or 'unknown caller'}"
        label = f"{engine}@?~{identity.scope}"
        return self._inferred(kind, label, identity, "no address, private to its caller", engine, shown=shown)

    def _queue(self, identity: Identity) -> Party:
        system = names.engine_name(identity.engine) or "messaging"
        if identity.destination:
            label = f"{system}/{identity.destination}"
            return self._inferred(NodeKind.QUEUE, label, identity, "destination", system)
        host, port = names.split_address(identity.address)
        if host:
            label = f"{system}@{names.join_address(host, port)}"
            return self._inferred(NodeKind.QUEUE, label, identity, "broker address", system)
        label, shown = f"{system}@?~{identity.scope}", f"{system} (destination unknown)"
        return self._inferred(NodeKind.QUEUE, label, identity, "private to its caller", system, shown=shown)

    def _external(self, identity: Identity, host: str, port: str) -> Party:
        """Something outside; without any name, and on a loopback address, another one for each caller."""
        ports = self._externals[host]
        if port:
            ports.add(port)
        elif len(ports) == 1 and host:
            port = next(iter(ports))  # who does not say the port means the only one that others call
        shown = names.join_address(host, port) if host else identity.alias or identity.name
        private = not shown or names.is_loopback(host)
        label = f"{shown or '?'}~{identity.scope}" if private else shown
        return self._inferred(
            NodeKind.EXTERNAL, label, identity, "address", "", shown=shown or "unknown destination"
        )

    def _client(self, identity: Identity) -> Party:
        return self._inferred(NodeKind.CLIENT, identity.name or "user", identity, "no caller span", "")

    def _inferred(
        self, kind: NodeKind, label: str, identity: Identity, matched_by: str, engine: str, *, shown: str = ""
    ) -> Party:
        return Party(
            id=inferred_id(self._cluster_part, kind, names.label_part(label)),
            name=names.display(identity.alias or shown or label),
            kind=kind,
            detail=names.display(identity.detail),
            matched_by=matched_by,
            engine=engine,
        )

    # Configured rules ----------------------------------------------------------------------------

    def _by_rule(self, identity: Identity) -> Party | None:
        for rule in self._rules:
            target = rule.target(identity)
            if target is None:
                continue
            service, namespace = target
            workload = self.workloads.by_name.get((namespace, service))
            if workload is not None:
                return self._of_workload(workload, f"rule {rule.text}")
            return self._own(namespace, service, f"rule {rule.text}")
        return None


def _namespace_and_name(identity: Identity) -> tuple[str, str]:
    """Prometheus' `job` is often `namespace/name`: read it so when that does not contradict the namespace."""
    namespace, slash, name = identity.name.partition("/")
    if slash and namespace and name and "/" not in name and identity.namespace in ("", namespace):
        return namespace, name
    return identity.namespace, identity.name


def _service_dns(host: str) -> tuple[str, str, bool] | None:
    """(service, namespace, certain) of `svc.ns`, `svc.ns.svc[.domain]`; certain = the `svc` label is there."""
    parts = host.split(".")
    if len(parts) == 2 and all(parts):
        return parts[0], parts[1], False
    if len(parts) >= 3 and parts[2] == "svc" and all(parts):
        return parts[0], parts[1], True
    return None


def _learning_order(identity: Identity) -> int:
    if identity.kind in (NodeKind.DATABASE, NodeKind.CACHE):
        return 0 if identity.engine and names.split_address(identity.address)[1] else 1
    if identity.kind is not NodeKind.SERVICE or not identity.name:
        return 4 if names.split_address(identity.address)[1] else 5
    return 2 if identity.namespace or "/" in identity.name else 3
