"""A file of objectives: every document by its own format, and everything that is wrong at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import yaml

from app.errors import Problem
from app.model.slo_spec import Slo
from app.specs import native, openslo, pyrra, sloth
from app.specs.cursor import Cursor, Findings

_MOST_BYTES = 4 << 20
_MOST_DOCUMENTS = 2000
STANDARD_PERIOD = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Specs:
    """The objectives of some files, what is wrong with them, and what should be known about how they were read."""

    slos: tuple[Slo, ...]
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]


def read(files: dict[str, str], *, period: timedelta = STANDARD_PERIOD) -> Specs:
    """Read files (name to text) together: OpenSLO objects refer to each other across them.

    `period` is that of formats that carry none (Sloth). Never raises for what a file holds.
    """
    slos: list[Slo] = []
    findings: list[Findings] = []
    objects = openslo.Objects()
    for name, text in files.items():
        found = Findings(name)
        findings.append(found)
        for document in _documents(text, found):
            slos += _read(document, period, objects)
    slos += objects.slos()
    _unique(slos, findings)
    return Specs(
        tuple(slos),
        tuple(problem for one in findings for problem in one.problems),
        tuple(note for one in findings for note in one.notes),
    )


def read_files(paths: list[Path], *, period: timedelta = STANDARD_PERIOD) -> Specs:
    """The same from paths; one that cannot be read is a problem."""
    texts: dict[str, str] = {}
    unreadable = []
    for path in paths:
        try:
            texts[str(path)] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            unreadable.append(Problem(str(path), f"cannot be read: {reason}"))
    found = read(texts, period=period)
    return Specs(found.slos, (*unreadable, *found.problems), found.notes)


def _documents(text: str, found: Findings) -> list[Cursor]:
    if len(text) > _MOST_BYTES:
        found.problems.append(Problem(found.file, f"is larger than {_MOST_BYTES >> 20} MiB: split it"))
        return []
    try:
        nodes = [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
    except RecursionError:
        found.problems.append(Problem(found.file, "is nested too deeply"))
        return []
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{found.file}:{mark.line + 1}" if mark else found.file
        found.problems.append(Problem(where, f"is not YAML: {getattr(error, 'problem', None) or error}"))
        return []
    if not nodes:
        found.problems.append(Problem(found.file, "holds nothing"))
    if len(nodes) > _MOST_DOCUMENTS:
        found.problems.append(Problem(found.file, f"holds more than {_MOST_DOCUMENTS} documents: split it"))
    return [Cursor(node, "", found) for node in nodes[:_MOST_DOCUMENTS]]


def _read(document: Cursor, period: timedelta, objects: openslo.Objects) -> list[Slo]:
    if not isinstance(document.node, yaml.MappingNode):
        document.wrong("must be a mapping")
        return []
    entries = [(str(key.value), value) for key, value in document.node.value]
    told = {name: str(value.value) for name, value in entries if isinstance(value, yaml.ScalarNode)}
    version = told.get("apiVersion", "")
    readers: dict[str, Callable[[], list[Slo]]] = {
        "sloth.slok.dev/v1": lambda: sloth.read_resource(document, period),
        "pyrra.dev/v1alpha1": lambda: pyrra.read(document),
        "openslo/v1": lambda: objects.add(document),
    }
    if version in readers:
        return readers[version]()
    if told.get("version") == "prometheus/v1":
        return sloth.read_file(document, period)
    if any(name == "slos" for name, _ in entries):
        return native.read(document, period)
    known = ", ".join([*readers, "version: prometheus/v1", "slos: […]"])
    document.wrong(
        f"apiVersion {version!r} is not known: there are {known}" if version else f"is none of {known}"
    )
    return []


def _unique(slos: list[Slo], findings: list[Findings]) -> None:
    first: dict[str, Slo] = {}
    for one in slos:
        earlier = first.setdefault(one.id, one)
        if earlier is not one:
            where = f"{one.origin.file}:{one.origin.line}"
            message = f"{one.id} is there twice, first at {earlier.origin.file}:{earlier.origin.line}"
            next(f for f in findings if f.file == one.origin.file).problems.append(Problem(where, message))
