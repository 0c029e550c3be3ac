"""The running product for acceptance tests: `serve`, the simulated fleet and Prometheus as child processes.

Each part can be killed and started again by itself, as a broken machine would do it; ports and state stay.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import requests
import yaml

from app import clock
from app.config import load
from app.store import sessions, tokens, users
from app.store.engine import open_store
from tests.support.html import Page
from tests.support.prometheus_server import _binary, _until_ready, free_port
from tests.support.web import CAST, PASSWORD, _hashed

ROOT = Path(__file__).resolve().parents[2]
_TAG = re.compile(r"<(script|style|svg)\b.*?</\1>|<[^>]*>", re.DOTALL)


def until(ask: Callable[[], Any], *, seconds: float = 15.0) -> Any:
    """The first truthy answer; asks calmly, as a person reloads. Exceptions count as no."""
    end = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < end:
        try:
            last = ask()
            if last:
                return last
        except Exception as error:
            last = error
        time.sleep(0.2)
    raise AssertionError(f"it did not become so within {seconds} s: {last!r:.500}")


class Child:
    """A program with its log; started, stopped and killed as often as a test likes."""

    def __init__(self, command: list[str], directory: Path, name: str) -> None:
        self.command, self.directory, self.name = command, directory, name
        self.log_file = directory / f"{name}.log"
        self.process: subprocess.Popen[str] | None = None

    def start(self, *, until_line: str = "") -> str:
        """Begin; waits for a line on standard output that starts with `until_line`, and answers it."""
        with self.log_file.open("ab") as log:
            out = subprocess.PIPE if until_line else log
            self.process = subprocess.Popen(self.command, cwd=ROOT, stdout=out, stderr=log, text=True)
        while until_line:
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
            assert line, f"{self.name} ended: {self.log()[-2000:]}"
            if line.startswith(until_line):
                return line
        return ""

    def log(self) -> str:
        """Everything it has written since its first start."""
        return self.log_file.read_text(errors="replace")

    def kill(self) -> None:
        """End it at once, without a chance to say goodbye."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        return self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """It keeps its connections and says nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
            if number is signal.SIGTERM:
                self.process.send_signal(signal.SIGCONT)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait(5)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None
        return code


class Prometheus(Child):
    """A real one on a fixed free port, that scrapes what `config` says."""

    def __init__(self, config: str, directory: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        file = directory / "prometheus.yml"
        file.write_text(config)
        command = [
            _binary("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={directory / 'prometheus'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--log.level=warn",
        ]
        super().__init__(command, directory, "prometheus")

    def begin(self) -> None:
        """Start and wait until it answers."""
        self.start()
        assert self.process is not None
        _until_ready(self.url, self.process)  # type: ignore[arg-type]

    def ask(self, query: str) -> dict[tuple[str, ...], float]:
        """An instant query, by the values of its labels in alphabetical order of their names."""
        answer = requests.get(f"{self.url}/api/v1/query", {"query": query}, timeout=10).json()
        rows = answer["data"]["result"]
        return {
            tuple(row["metric"][name] for name in sorted(row["metric"])): float(row["value"][1])
            for row in rows
        }


class Fleet(Child):
    """The simulator; `targets` are its addresses once it runs."""

    def __init__(self, directory: Path, *more: str) -> None:
        self.state = directory / "fleet"
        self.state.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "demo", "--state-dir", str(self.state), *more]
        super().__init__(command, directory, "fleet")

    def begin(self) -> None:
        """Start and wait until it answers."""
        self.start(until_line="Fleet listening")

    @property
    def targets(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.state / "demo-targets.json").read_text())
        return found

    @property
    def kubeconfig(self) -> Path:
        return self.state / "demo-kubeconfig.yaml"

    def scenario(self, name: str | None) -> None:
        """Begin a scenario now, or end the present one."""
        body = json.dumps({"name": name}).encode()
        request = urllib.request.Request(
            f"{self.targets['control']}/scenario", body, {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=5).close()


@dataclass
class Person:
    """A browser without scripts, signed in or not."""

    url: str
    session: requests.Session = field(default_factory=requests.Session)
    csrf: str = ""

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.session.get(self.url + path, timeout=15, allow_redirects=False, **more)

    def post(self, path: str, data: dict[str, str], **more: Any) -> requests.Response:
        """Send a form, with the session's token."""
        form = {"csrf_token": self.csrf} | data
        headers = {"Origin": self.url} | more.pop("headers", {})
        return self.session.post(
            self.url + path, data=form, headers=headers, timeout=15, allow_redirects=False, **more
        )

    def page(self, path: str, status: int = 200) -> str:
        """The HTML of a page; its status is as expected and its markup is sound."""
        answer = self.get(path)
        assert answer.status_code == status, f"{path}: {answer.status_code} {words(answer.text)[:500]}"
        faults = Page(answer.text).faults
        assert not faults, f"{path}: {faults[:5]}"
        return answer.text

    def read(self, path: str, status: int = 200) -> str:
        """The words of a page, as a reader sees them."""
        return words(self.page(path, status))

    def api(self, path: str) -> Any:
        """The JSON of a good answer."""
        answer = self.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()


def words(html: str) -> str:
    """The text of some HTML without scripts, styles and graphics, white space folded."""
    return " ".join(unescape(_TAG.sub(" ", html)).split())


class Quarterdeck(Child):
    """`serve` with a configuration and a cast of users."""

    def __init__(self, config: dict[str, Any], directory: Path, name: str = "serve") -> None:
        self.state = directory / f"{name}-state"
        self.state.mkdir(exist_ok=True)
        self.file = directory / f"{name}.yaml"
        self.port = free_port()
        base = {
            "server": {"listen": f"127.0.0.1:{self.port}"},
            "otlp": {"listen": f"127.0.0.1:{free_port()}"},
        }
        self.config = {
            key: {**base.get(key, {}), **config[key]}
            if isinstance(config.get(key), dict)
            else config.get(key, base.get(key))
            for key in base | config
        }
        self.url = f"http://127.0.0.1:{self.port}"
        self.rewrite()
        command = [sys.executable, "-m", "app.cli", "serve"]
        super().__init__(
            [*command, "--config", str(self.file), "--state-dir", str(self.state)], directory, name
        )

    def rewrite(self) -> None:
        """Write the configuration as it is now."""
        self.file.write_text(yaml.safe_dump(self.config))

    def begin(self) -> None:
        """Start and wait for its line."""
        self.start(until_line="Listening on")

    def cast(self) -> None:
        """Make the users; before or after the start."""
        with self._store() as store:
            store.migrate()
            with store.begin() as session:
                for name, role in CAST.items():
                    users.add(session, name, role, _hashed())

    def person(self, name: str | None = None) -> Person:
        """A browser; signed in as one of the cast when a name is given."""
        person = Person(self.url)
        if name is not None:
            with self._store() as store, store.begin() as session:
                secret, row = sessions.start(session, name)
            person.csrf = row.csrf
            person.session.cookies.set("qd_dev", secret)
        return person

    def sign_in(self, name: str, password: str = PASSWORD) -> requests.Response:
        """The answer to the sign-in form."""
        person = Person(self.url)
        return person.post("/login", {"username": name, "password": password})

    def token(self, *scopes: str) -> Person:
        """A program with a bearer token of these scopes."""
        person = Person(self.url)
        with self._store() as store, store.begin() as session:
            ends = clock.now() + timedelta(days=1)
            text, _ = tokens.create(session, name="ci", owner="ada", scopes=scopes, expires_at=ends)
        person.session.headers["Authorization"] = f"Bearer {text}"
        return person

    @contextmanager
    def _store(self) -> Iterator[Any]:
        store = open_store(load(self.file, state_dir=self.state))
        try:
            yield store
        finally:
            store.dispose()


def cluster(name: str = "demo", **parts: Any) -> dict[str, Any]:
    """One cluster's part of a configuration; a fleet's own kubeconfig also serves for acting."""
    made: dict[str, Any] = {"name": name}
    if "prometheus" in parts:
        made["prometheus"] = {"interval": "5s", "query_timeout": "4s"} | parts["prometheus"]
    if "kubeconfig" in parts:
        path = str(parts["kubeconfig"])
        made["kubernetes"] = {"kubeconfig": path, "act": {"kubeconfig": path}}
    return made


@dataclass
class Stack:
    """Fleet, Prometheus and Quarterdeck together."""

    fleet: Fleet
    prometheus: Prometheus
    deck: Quarterdeck

    def node(self, person: Person, name: str) -> dict[str, Any]:
        """A node of the topology document by its name."""
        nodes = person.api("/api/v1/topology")["nodes"]
        found: dict[str, Any] = next(node for node in nodes if node["name"] == name)
        return found

    def status(self, person: Person, name: str) -> str:
        """The health of a service, in the API's word."""
        return str(self.node(person, name)["health"]["status"])

    def source(self, person: Person, name: str) -> dict[str, Any]:
        """Freshness of a source as the topology document says it."""
        sources = person.api("/api/v1/topology")["freshness"]
        found: dict[str, Any] = next(one for one in sources if one["source"] == f"demo/{name}")
        return found


@contextmanager
def running(directory: Path, *fleet_arguments: str, **config: Any) -> Iterator[Stack]:
    """The whole stack, settled: services are healthy and the inferred nodes are there."""
    from demo.history import prometheus_config

    ports = free_port()
    fleet = Fleet(directory, "--otlp", f"http://127.0.0.1:{ports}/v1/traces", *fleet_arguments)
    stack: Stack | None = None
    try:
        fleet.begin()
        prometheus = Prometheus(prometheus_config(fleet.targets["sd"]), directory)
        parts = cluster(prometheus={"url": prometheus.url}, kubeconfig=fleet.kubeconfig)
        given = {"clusters": [parts], "otlp": {"listen": f"127.0.0.1:{ports}"}} | config
        stack = Stack(fleet, prometheus, Quarterdeck(given, directory))
        prometheus.begin()
        stack.deck.cast()
        stack.deck.begin()
        viewer = stack.deck.person("bob")
        until(lambda: stack.status(viewer, "gateway") == "healthy", seconds=90)
        yield stack
    finally:
        for child in (stack.deck, stack.prometheus) if stack else ():
            child.stop()
        fleet.stop()
