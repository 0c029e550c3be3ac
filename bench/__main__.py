"""`make bench`: every script of this folder, or ONLY=store,spans; SIZE=5000 for bigger fleets.

Scripts that take minutes (LONG) run only when they are named.

Exit status 0 unless two ways give different answers or a script breaks.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

SCRIPTS = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if path.stem not in ("__init__", "__main__", "harness")
)
LONG = ("memory",)


def main() -> int:
    """Run the scripts one after the other, each in a process of its own."""
    wanted = [name for name in os.environ.get("ONLY", "").split(",") if name] or [
        name for name in SCRIPTS if name not in LONG
    ]
    unknown = sorted(set(wanted) - set(SCRIPTS))
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(SCRIPTS)}")
        return 2
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    broken = []
    with (results / f"{time.strftime('%Y%m%dT%H%M%S')}.txt").open("w") as file:
        for name in wanted:
            child = subprocess.Popen(
                [sys.executable, "-m", f"bench.{name}"], stdout=subprocess.PIPE, text=True, bufsize=1
            )
            assert child.stdout is not None
            for line in child.stdout:
                print(line, end="", flush=True)
                file.write(line)
            if child.wait() != 0:
                broken.append(name)
    if broken:
        print(f"broken: {', '.join(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
