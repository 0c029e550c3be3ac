"""Browser libraries: from package-lock.json into static/vendor, for `make vendor` and for every wheel.

Knows which file of which pinned package is served under which name, and how to read Plotly's style rules
out of its bundle. Runs with the standard library alone, because a build environment has nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # `make vendor` runs outside a build, where hatchling need not be installed
    BuildHookInterface = object  # type: ignore[assignment,misc]

ROOT = Path(__file__).resolve().parent

# served name -> (package, file in the package, packages bundled into that file)
SERVED: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "socket.io.js": (
        "socket.io-client",
        "dist/socket.io.esm.min.js",
        ("engine.io-client", "engine.io-parser", "socket.io-parser", "@socket.io/component-emitter"),
    ),
    "idiomorph.js": ("idiomorph", "dist/idiomorph.esm.js", ()),
    "plotly-cartesian.js": ("plotly.js-cartesian-dist-min", "plotly-cartesian.min.js", ()),
}

_STRING = r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\''
_RULE = re.compile(rf"({_STRING}|[A-Za-z_$][\w$]*):({_STRING}),?")


class VendorError(Exception):
    """The browser libraries could not be put in place; the text says what to do."""


def vendor(root: Path = ROOT) -> None:
    """Install what package-lock.json pins and copy the served files, their licences and a manifest."""
    npm = shutil.which("npm")
    if npm is None:
        raise VendorError(
            "npm is needed to fetch the browser libraries: install Node.js, then run `make vendor`."
        )
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.run(command, cwd=root, check=False).returncode != 0:
        raise VendorError("npm ci failed (see above); nothing was changed in static/vendor.")
    copy(root / "node_modules", root / "static" / "vendor")


def copy(modules: Path, target: Path) -> None:
    """Fill `target` from the installed packages in `modules`."""
    target.mkdir(parents=True, exist_ok=True)
    entries = []
    for name, (package, file, bundled) in SERVED.items():
        shutil.copyfile(modules / package / file, target / name)
        (target / f"{name}.LICENSE").write_text(_licences(modules, (package, *bundled)), encoding="utf-8")
        entries.append(_entry(modules / package, target / name))
    bundle = (target / "plotly-cartesian.js").read_text(encoding="utf-8")
    (target / "plotly.css").write_text(plotly_css(bundle), encoding="utf-8")
    entries.append(_entry(modules / "plotly.js-cartesian-dist-min", target / "plotly.css"))
    (target / "manifest.json").write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


def plotly_css(bundle: str) -> str:
    """The style rules that Plotly would inject, as a style sheet.

    They stand in the bundle as one object literal {selector: declarations}, where X and Y stand for the
    plot and the notifier; the library inserts each rule before the ones already there.
    """
    start = bundle.find('{"X,X div":')
    if start < 0:
        raise VendorError(
            "plotly-cartesian.js holds no rule table where it is expected: look at the new version."
        )
    rules, position = [], start + 1
    while match := _RULE.match(bundle, position):
        rules.append(f"{_selector(_literal(match[1]))}{{{_literal(match[2])}}}")
        position = match.end()
    if bundle[position] != "}":
        raise VendorError("plotly-cartesian.js: the rule table has an unknown form: look at the new version.")
    return "\n".join(reversed(rules)) + "\n"


def missing(root: Path = ROOT) -> list[str]:
    """Sentences about files in static/vendor that are not there or not those of package.json."""
    target = root / "static" / "vendor"
    try:
        entries = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ["static/vendor has not been built"]
    pinned = json.loads((root / "package.json").read_text(encoding="utf-8"))["dependencies"]
    return [
        f"{entry['file']} is not {entry['name']} {pinned.get(entry['name'])}"
        for entry in entries
        if pinned.get(entry["name"]) != entry["version"] or _sha256(target / entry["file"]) != entry["sha256"]
    ]


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg,unused-ignore]
    """Lets no wheel or source distribution be built without the browser libraries; an editable install only warns."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before the files are collected; `version` is `editable` or `standard`."""
        root = Path(self.root)
        if not missing(root):
            return
        try:
            vendor(root)
        except VendorError as error:
            if version != "editable":
                self.app.abort(f"Not built without the browser libraries: {error}")
            self.app.display_warning(f"{error} Until then pages have no live updates and no charts.")


def _literal(token: str) -> str:
    if token[0] not in "\"'":
        return token
    body = token[1:-1].replace("\\'", "'") if token[0] == "'" else token[1:-1]
    return re.sub(r'\\(["\\])', r"\1", body)


def _selector(key: str) -> str:
    key = re.sub(r"^,", " ,", key)
    return key.replace("X", ".js-plotly-plot .plotly").replace("Y", ".plotly-notifier")


def _licences(modules: Path, packages: tuple[str, ...]) -> str:
    parts = []
    for package in packages:
        version = json.loads((modules / package / "package.json").read_text(encoding="utf-8"))["version"]
        text = (modules / package / "LICENSE").read_text(encoding="utf-8").strip()
        parts.append(f"{package} {version}\n\n{text}\n")
    return "\n----\n\n".join(parts)


def _entry(package: Path, file: Path) -> dict[str, str]:
    facts = json.loads((package / "package.json").read_text(encoding="utf-8"))
    return {
        "file": file.name,
        "name": facts["name"],
        "version": facts["version"],
        "license": facts["license"],
        "sha256": _sha256(file),
    }


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def main() -> int:
    """`python hatch_build.py`: what `make vendor` runs. 0 = static/vendor is as package.json says."""
    try:
        vendor()
    except VendorError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
