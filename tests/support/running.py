"""The product's commands as real child processes, on free ports, with what they said."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.support.until import until

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Running:
    """A child process; `out` and `err` grow while it runs."""

    process: subprocess.Popen[str]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)

    @property
    def errors(self) -> str:
        """Standard error so far."""
        return "".join(self.err)

    def line(self, pattern: str, *, seconds: float = 30.0) -> re.Match[str]:
        """The first line of either output that matches; fails with what was said when the process ends first."""

        def look() -> re.Match[str] | None:
            found = next((hit for line in [*self.out, *self.err] if (hit := re.search(pattern, line))), None)
            if found is None and self.process.poll() is not None:
                raise EndedEarly(f"{pattern!r} was not said:\n{''.join(self.out)}{self.errors}")
            return found

        return until(look, seconds=seconds, give_up=EndedEarly)

    def address(self) -> str:
        """Where it listens, once it does."""
        return self.line(r"^Listening on (http://\S+)$")[1]

    def end(self, number: int = signal.SIGTERM, *, seconds: float = 10.0) -> int:
        """Send a signal and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)


class EndedEarly(AssertionError):
    """The process ended before it said what was waited for."""


@contextmanager
def running(*command: str, cwd: Path = ROOT, **environment: str) -> Iterator[Running]:
    """A process of these words; killed at the end if it still runs."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**_plain_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    found = Running(process)
    threads = [
        threading.Thread(target=kept.extend, args=(stream,), daemon=True)
        for kept, stream in ((found.out, process.stdout), (found.err, process.stderr))
    ]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for thread in threads:
            thread.join(5)
        process.stdout.close()
        process.stderr.close()


@contextmanager
def quarterdeck(*words: object, **environment: str) -> Iterator[Running]:
    """`quarterdeck WORDS…`."""
    command = [sys.executable, "-m", "app.cli", *(str(word) for word in words)]
    with running(*command, **environment) as found:
        yield found


def serving(state: Path, *more: object, **environment: str) -> Any:
    """`quarterdeck serve` on a free port with its state in `state`."""
    words = () if "--listen" in more else ("--listen", "127.0.0.1:0")
    return quarterdeck("serve", "--state-dir", state, *words, *more, **environment)


def finished(*words: object, stdin: str = "", **environment: str) -> tuple[int, str, str]:
    """A short command: exit code, standard output, standard error."""
    command = [sys.executable, "-m", "app.cli", *(str(word) for word in words)]
    env = {**_plain_environment(), **environment}
    done = subprocess.run(command, cwd=ROOT, env=env, input=stdin, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def signed_in(address: str, name: str, password: str) -> requests.Session:
    """A browser's session: cookies and the CSRF header."""
    session = requests.Session()
    answer = session.post(
        f"{address}/login",
        {"username": name, "password": password},
        headers={"Origin": address},
        allow_redirects=False,
        timeout=10,
    )
    assert answer.status_code == 303, answer.text[:500]
    return session


def _plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("QUARTERDECK_")}
