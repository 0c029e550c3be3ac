"""The command line: `quarterdeck serve | web | worker | beat | watch | demo | check | migrate | user | token | …`.

Exit codes: 0 ok, 1 failed, 2 usage or configuration. Heavy modules are imported by the command that needs them.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from app import logs
from app.config import Config, load, parse_duration
from app.errors import BadInput, ConfigError, QuarterdeckError

if TYPE_CHECKING:
    from app.store.engine import Store

ROLES = ("viewer", "responder", "approver", "admin")
Command = Callable[[argparse.Namespace], int]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers its exit code."""
    options = _parser().parse_args(arguments)
    logs.install()
    try:
        code: int = options.run(options)
    except ConfigError as error:
        print(f"The configuration cannot be used:\n{error}", file=sys.stderr)
        return 2
    except QuarterdeckError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quarterdeck", description="See, understand, act on and verify a fleet of microservices."
    )
    parser.add_argument("--version", action="version", version=f"quarterdeck {version('quarterdeck')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (
        _add_demo,
        _add_serve,
        _add_parts,
        _add_check,
        _add_migrate,
        _add_user,
        _add_token,
        _add_audit,
        _add_topology,
        _add_slo,
    ):
        add(commands)
    return parser


def _command(
    commands: Commands, name: str, run: Command, sentence: str, example: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=sentence,
        description=sentence,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", type=Path, default=_from_environment("QUARTERDECK_CONFIG"), metavar="FILE"
    )
    parser.add_argument(
        "--state-dir", type=Path, default=_from_environment("QUARTERDECK_STATE_DIR"), metavar="DIR"
    )
    parser.set_defaults(run=run)
    return parser


def _from_environment(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None


def _config(options: argparse.Namespace, *, make_key: bool = True, **overrides: str | None) -> Config:
    given = {name.replace("__", "."): value for name, value in overrides.items() if value is not None}
    return load(options.config, state_dir=options.state_dir, overrides=given, make_key=make_key)


def _open(options: argparse.Namespace) -> tuple[Config, Store]:
    """Configuration and store for a short command; an own SQLite store is made when it is not there."""
    from app.store.engine import open_store

    config = _config(options)
    store = open_store(config)
    if store.dialect == "sqlite":
        store.migrate()
    else:
        store.check_schema()
    return config, store


def _add_serve(commands: Commands) -> None:
    parser = _command(
        commands,
        "serve",
        _serve,
        "Run everything in one process.",
        "quarterdeck serve --config quarterdeck.yaml",
    )
    parser.add_argument("--listen", metavar="HOST:PORT", help="overrides server.listen")
    parser.add_argument("--external-url", metavar="URL", help="overrides server.external_url")


def _serve(options: argparse.Namespace) -> int:
    from app import processes

    def reread() -> Config:
        return _config(options, server__listen=options.listen, server__external_url=options.external_url)

    return processes.serve(reread(), reread=reread)


def _add_parts(commands: Commands) -> None:
    web = _command(commands, "web", _web, "Pages and API alone.", "quarterdeck web --config quarterdeck.yaml")
    web.add_argument("--listen", metavar="HOST:PORT", help="overrides server.listen")
    worker = _command(
        commands,
        "worker",
        _worker,
        "A worker of some queues.",
        "quarterdeck worker --queues collect,evaluate",
    )
    worker.add_argument("--queues", default="collect,evaluate,act", help="of collect, evaluate, act")
    _command(commands, "beat", _beat, "The timetable; run two, one speaks.", "quarterdeck beat")
    _command(commands, "watch", _watch, "The Kubernetes watches.", "quarterdeck watch")


def _web(options: argparse.Namespace) -> int:
    from gevent import monkey

    monkey.patch_all()  # before anything imports what it patches
    from app import roles

    return roles.web(_config(options, make_key=False, server__listen=options.listen))


def _worker(options: argparse.Namespace) -> int:
    wrong = sorted(set(options.queues.split(",")) - {"collect", "evaluate", "act"})
    if wrong:
        print(f"no such queue: {', '.join(wrong)}; there are collect, evaluate and act", file=sys.stderr)
        return 2
    from app import roles

    return roles.worker(_config(options, make_key=False), options.queues)


def _beat(options: argparse.Namespace) -> int:
    from app import roles

    return roles.beat(_config(options, make_key=False))


def _watch(options: argparse.Namespace) -> int:
    from app import roles

    return roles.watch(_config(options, make_key=False))


def _add_demo(commands: Commands) -> None:
    parser = _command(
        commands,
        "demo",
        _demo,
        "Run Quarterdeck on a simulated fleet with a real Prometheus.",
        "quarterdeck demo --scenario traffic-surge",
    )
    parser.add_argument("--port", type=int, default=8080, help="port of the pages (default 8080)")
    parser.add_argument("--scenario", help="fault that begins after a minute, e.g. traffic-surge, bad-deploy")
    parser.add_argument(
        "--services", type=int, default=0, help="number of services (default: the shop's own)"
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same fleet")
    parser.add_argument("--speed", type=float, default=1.0, help="speed of the model alone")
    parser.add_argument(
        "--evidence",
        default="traces,client-metrics",
        metavar="LIST",
        help="how calls are seen: any of traces, service-graph, istio, client-metrics (default traces,client-metrics)",
    )


def _demo(options: argparse.Namespace) -> int:
    from demo import command

    return command.run(options)


def _add_check(commands: Commands) -> None:
    _command(
        commands,
        "check",
        _check,
        "Check the configuration without starting; all errors at once.",
        "quarterdeck check --config quarterdeck.yaml",
    )


def _check(options: argparse.Namespace) -> int:
    from app import checks

    config = _config(options)
    if found := checks.problems(config):
        raise ConfigError(found)
    clusters = ", ".join(cluster.name for cluster in config.clusters) or "none"
    print(f"The configuration is sound. Clusters: {clusters}. State: {config.state_dir}")
    return 0


def _add_migrate(commands: Commands) -> None:
    parser = _command(
        commands, "migrate", _migrate, "Bring the store's schema up to date.", "quarterdeck migrate --to head"
    )
    parser.add_argument("--to", default="head", metavar="REV", help="revision (default: the newest)")


def _migrate(options: argparse.Namespace) -> int:
    from app.store.engine import open_store

    store = open_store(_config(options))
    store.migrate(options.to)
    print(f"The store is at {store.revision() or 'base'}.")
    return 0


def _add_user(commands: Commands) -> None:
    parser = _command(
        commands, "user", _user, "Local users.", "quarterdeck user add alice --role responder < password.txt"
    )
    parser.add_argument("verb", choices=("add", "list", "disable"))
    parser.add_argument("name", nargs="?")
    parser.add_argument("--role", choices=ROLES, default="viewer")


def _user(options: argparse.Namespace) -> int:
    from app.store import audit, users
    from app.web.passwords import hash_password

    if options.verb != "list" and not options.name:
        print(f"user {options.verb} needs a NAME", file=sys.stderr)
        return 2
    config, store = _open(options)
    with store.begin() as session:
        if options.verb == "list":
            for user in users.all_users(session):
                print(f"{user.name}\t{user.role}\t{'disabled' if user.disabled else 'active'}")
            return 0
        if options.verb == "disable":
            done, why = users.disable(session, options.name), "no such user"
        else:
            hashed = hash_password(_password())
            done, why = users.add(session, options.name, options.role, hashed), "the name is taken"
        if not done:
            raise BadInput(f"{options.name}: {why}")
        key = config.secret_key.reveal().encode()
        audit.append(session, key, who="cli", what=f"user.{options.verb}", target=options.name, outcome="ok")
    return 0


def _password() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline().rstrip("\n")


def _add_token(commands: Commands) -> None:
    parser = _command(
        commands,
        "token",
        _token,
        "Tokens for the API; the token is printed alone.",
        "quarterdeck token create --name ci --scope responder --expires 90d",
    )
    parser.add_argument("verb", choices=("create",))
    parser.add_argument("--name", required=True)
    parser.add_argument("--scope", required=True, choices=ROLES)
    parser.add_argument("--expires", default="90d", metavar="DURATION", help="at most 365d")


def _token(options: argparse.Namespace) -> int:
    from app import clock
    from app.store import audit, tokens

    try:
        lifetime = parse_duration(options.expires)
    except ValueError as error:
        print(f"--expires: {error}", file=sys.stderr)
        return 2
    config, store = _open(options)
    with store.begin() as session:
        text, token = tokens.create(
            session,
            name=options.name,
            owner="cli",
            scopes=[options.scope],
            expires_at=clock.now() + lifetime,
        )
        key = config.secret_key.reveal().encode()
        audit.append(session, key, who="cli", what="token.create", target=token.id, outcome="ok")
    print(text)
    return 0


def _add_audit(commands: Commands) -> None:
    parser = _command(
        commands,
        "audit",
        _audit,
        "The audit log: verify its chain, or export it.",
        "quarterdeck audit verify",
    )
    parser.add_argument("verb", choices=("verify", "export"))


def _audit(options: argparse.Namespace) -> int:
    from app.store import audit

    config, store = _open(options)
    with store.reading() as session:
        if options.verb == "verify":
            found = audit.verify(session, config.secret_key.reveal().encode())
            print(f"{found.rows} rows hold." if found.ok else f"Row {found.broken} is broken: {found.why}.")
            return 0 if found.ok else 1
        last = None
        while rows := audit.page(session, limit=1000, before=last):
            for row in rows:
                print(json.dumps(asdict(row), default=str))
            last = rows[-1].seq
    return 0


def _add_topology(commands: Commands) -> None:
    parser = _command(
        commands,
        "topology",
        _topology,
        "Who calls whom, as a file on standard output.",
        "quarterdeck topology export --format dot --find '!healthy' | dot -Tsvg > fleet.svg",
    )
    parser.add_argument("verb", choices=("export",))
    parser.add_argument("--format", choices=("dot", "json", "csv"), default="json")
    parser.add_argument(
        "--at", metavar="T", help="a moment of the past, e.g. 2026-11-23T10:00:00Z (default: now)"
    )
    parser.add_argument("--cluster", help="only this cluster")
    parser.add_argument("--namespace", help="only this namespace, and what it talks to")
    parser.add_argument(
        "--find", metavar="EXPRESSION", default="", help="only what this selects, e.g. 'err > 5%%'"
    )
    parser.add_argument("--hide", metavar="EXPRESSION", default="", help="without what this selects")


def _topology(options: argparse.Namespace) -> int:
    from app.api.query import parse_moment
    from app.web.documents import Documents, Question
    from app.web.reader import Reader

    try:
        at = parse_moment(options.at) if options.at else None
    except ValueError as error:
        print(f"--at {error}", file=sys.stderr)
        return 2
    _, store = _open(options)
    asked = Question(options.cluster, options.namespace, at, find=options.find, hide=options.hide)
    file = Documents(Reader(store), store).export(asked, "", options.format)
    sys.stdout.buffer.write(file.body)
    return 0


def _add_slo(commands: Commands) -> None:
    parser = _command(
        commands,
        "slo",
        _slo,
        "Objectives in files (OpenSLO v1, Sloth, Pyrra, our own form): what is wrong with them, or another format.",
        "quarterdeck slo lint slo/*.yaml",
    )
    parser.add_argument("verb", choices=("lint", "export"))
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument(
        "--format",
        choices=("quarterdeck", "prometheus", "openslo", "sloth", "pyrra"),
        default="quarterdeck",
        help="what export writes; prometheus: recording and alerting rules",
    )


def _slo(options: argparse.Namespace) -> int:
    from app import specs

    found = specs.read_files(options.files)
    for problem in found.problems:
        print(problem, file=sys.stderr)
    if found.problems:
        return 2
    if options.verb == "export":
        print(specs.write(found.slos, options.format), end="")
        return 0
    for note in found.notes:
        print(f"note: {note}")
    for slo in found.slos:
        print(f"{slo.origin.file}:{slo.origin.line}: {slo.id}, {slo.objective}, {slo.origin.format}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
