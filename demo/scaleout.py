"""`make scaleout-demo`: the demo in its parts, as docker-compose.yml would run them, without an engine.

The fleet, a Prometheus, a PostgreSQL and a Redis of its own, then migrate, web, two workers, two beats and watch,
each `quarterdeck ROLE …`. In the foreground; everything ends with it.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from app import clock
from demo import command
from demo.command import DemoFailed

ROLES = ("worker --queues collect,evaluate", "worker --queues act", "beat", "beat", "watch")
Children = list["subprocess.Popen[bytes]"]
_PROGRAM = Path(sys.executable).with_name("quarterdeck")


def main() -> int:
    """Run until SIGTERM or SIGINT; answers the exit code."""
    options = _options()
    state = options.state_dir.resolve()
    state.mkdir(parents=True, exist_ok=True)
    children: Children = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _run(options, state, children)
    except KeyboardInterrupt:
        return 0
    except DemoFailed as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        command.end(children)
    return 0


def _run(options: argparse.Namespace, state: Path, children: Children) -> None:
    targets = command.start_fleet(options, state, children)
    targets["prometheus"] = command.start_prometheus(options, state, targets, children)
    config = _config(state, targets, _postgres(state, children), _redis(state, children))
    address = f"http://127.0.0.1:{options.port}"
    _once(config, "migrate")
    _write_credentials(state, config, address)
    for words in (f"web --listen 127.0.0.1:{options.port}", *ROLES):
        children.append(_quarterdeck(state, config, *words.split()))
    _until(lambda: _answers(f"{address}/readyz"), f"web does not answer: see {state}/web.log")
    print(f"Listening on {address}\n\n  Credentials  {state}/demo-credentials.json")
    print(f"  Prometheus   {targets['prometheus']}\n  Kubernetes   {targets['kubernetes']}")
    print(f"  Logs         {state}/*.log\n", flush=True)
    while all(one.poll() is None for one in children):
        time.sleep(1.0)
    ended = next(one.args for one in children if one.poll() is not None)
    raise DemoFailed(f"a part has ended, see the logs in {state}: {ended!r}")


def _write_credentials(state: Path, config: Path, address: str) -> None:
    """The demo's user and a token, made by the same commands that an operator would use."""
    file = state / "demo-credentials.json"
    if file.exists():
        return
    password = secrets.token_urlsafe(12)
    _once(config, "user", "add", command.USER, "--role", "admin", given=password)
    words = ("token", "create", "--name", "demo", "--scope", "responder", "--expires", "365d")
    token = _once(config, *words).strip()
    command.write(file, {"url": address, "username": command.USER, "password": password, "token": token})


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _until(true: Callable[[], bool], otherwise: str) -> None:
    """Wait up to a minute."""
    end = clock.monotonic() + 60
    while not true():
        if clock.monotonic() > end:
            raise DemoFailed(otherwise)
        time.sleep(0.2)


def _once(config: Path, *words: str, given: str = "") -> str:
    """A command that ends by itself; what it said."""
    program = [str(_PROGRAM), *words, "--config", str(config), "--state-dir", str(config.parent)]
    done = subprocess.run(program, input=given, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise DemoFailed(f"quarterdeck {words[0]}: {done.stderr.strip()}")
    return done.stdout


def _config(state: Path, targets: dict[str, str], database: str, broker: str) -> Path:
    kubeconfig = str(state / "demo-kubeconfig.yaml")
    cluster = {
        "name": command.CLUSTER,
        "prometheus": {"url": targets["prometheus"], "interval": "5s"},
        "kubernetes": {"kubeconfig": kubeconfig, "act": {"kubeconfig": kubeconfig}},
    }
    key = state / "secret.key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_text(secrets.token_urlsafe(48))
    content = {
        "server": {"secret_key_file": str(key)},
        "store": {"url": database},
        "broker": {"url": broker},
        "clusters": [cluster],
    }
    file = state / "quarterdeck.yaml"
    file.write_text(json.dumps(content, indent=2) + "\n")  # JSON is YAML
    return file


def _quarterdeck(state: Path, config: Path, role: str, *words: str) -> subprocess.Popen[bytes]:
    program = [str(_PROGRAM), role, *words, "--config", str(config), "--state-dir", str(state)]
    with (state / f"{role}.log").open("ab") as log:
        return command.child(program, stdout=log, stderr=log)


def _postgres(state: Path, children: Children) -> str:
    """A PostgreSQL in the state directory; root runs it as the user postgres, as PostgreSQL demands."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if not found:
        raise DemoFailed("PostgreSQL is not installed: sudo apt-get install postgresql")
    home, port = state / "postgres", command.remembered_port(state / "postgres.port")
    as_user: list[str] = []
    if os.geteuid() == 0:
        home = Path("/var/tmp") / f"quarterdeck-scaleout-{port}"  # noqa: S108 - postgres may not enter root's directories
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig=TERM"]
    home.mkdir(mode=0o700, exist_ok=True)
    if as_user:
        shutil.chown(home, "postgres")
    data = home / "data"
    if not data.exists():
        make = [*as_user, str(found[0] / "initdb"), "-D", str(data), "-U", "quarterdeck", "-A", "trust"]
        subprocess.run([*make, "-E", "UTF8"], check=True, stdout=subprocess.DEVNULL, cwd="/")
    server = [*as_user, str(found[0] / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1"]
    server += ["-k", str(home)]
    with (state / "postgres.log").open("ab") as log:
        children.append(command.child(server, stdout=log, stderr=log, cwd="/"))
    ready = [str(found[0] / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    _until(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL did not start")
    return f"postgresql://quarterdeck@127.0.0.1:{port}/postgres"


def _redis(state: Path, children: Children) -> str:
    program = shutil.which("redis-server")
    if program is None:
        raise DemoFailed("Redis is not installed: sudo apt-get install redis-server")
    port = command.remembered_port(state / "redis.port")
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with (state / "redis.log").open("ab") as log:
        children.append(command.child([program, *words], stdout=log, stderr=log))
    return f"redis://127.0.0.1:{port}/0"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo.scaleout", description="The demo in its parts.")
    parser.add_argument("--state-dir", type=Path, required=True, help="where everything is kept")
    parser.add_argument("--port", type=int, default=8080, help="port of the pages (default 8080)")
    parser.add_argument("--services", type=int, default=0, help="services in total (default 11)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same fleet")
    parser.add_argument("--speed", type=float, default=1.0, help="speed of the model alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
