"""Reads YAML, environment and secret files into a Config; reports every problem at once.

Order: the declared default, then the file, then QUARTERDECK_<PATH> (QUARTERDECK_STORE_URL is store.url), then
the command line. A secret setting also reads `<name>_file` in YAML and QUARTERDECK_<PATH>_FILE.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import secrets
import types
import typing
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml

from app.config.duration import parse_duration
from app.config.settings import SETTLED, Config, Secret
from app.errors import ConfigError, Problem

_ENV = "QUARTERDECK_"
_OUTSIDE = {"QUARTERDECK_CONFIG", "QUARTERDECK_STATE_DIR"}
_SHORT = {"server.secret_key": "QUARTERDECK_SECRET_KEY"}
_WELL_KNOWN = {"secret", "changeme", "change-me", "quarterdeck", "password", "dev", "development", "test"}
_MISSING = object()


def load(
    path: Path | None = None,
    *,
    state_dir: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    make_key: bool = True,
) -> Config:
    """The configuration from `path` (or defaults), environment and `overrides` (dotted name to text).

    `make_key`: create `secret.key` in the state directory when no key is given (serve); the scale-out
    roles pass False and are refused without a key. Raises ConfigError with every problem found.
    """
    reader = _Reader(path, os.environ if environ is None else environ, dict(overrides or {}))
    config = reader.read()
    directory = state_dir or Path(reader.environ.get("QUARTERDECK_STATE_DIR") or "quarterdeck-data")
    key = config.server.secret_key
    if key is None and not reader.problems:
        key = _own_key(directory, reader.problems) if make_key else None
        if key is None and not reader.problems:
            reader.add("server.secret_key", "several processes need one key: set QUARTERDECK_SECRET_KEY_FILE")
    elif key is not None:
        _judge_key(key.reveal(), reader)
    if reader.problems:
        raise ConfigError(reader.problems)
    return dataclasses.replace(config, state_dir=directory, secret_key=key or Secret(""))


def _own_key(directory: Path, problems: list[Problem]) -> Secret | None:
    """The key kept in the state directory, made (0600) on first use."""
    file = directory / "secret.key"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            draft = directory / f"secret.key.{os.getpid()}"
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_urlsafe(48))
            draft.replace(file)
        return Secret(file.read_text().strip())
    except OSError as error:
        problems.append(
            Problem(str(file), f"cannot keep the secret key here ({error.strerror}): give --state-dir")
        )
        return None


def _judge_key(key: str, reader: _Reader) -> None:
    if len(key) < 32 or key.lower() in _WELL_KNOWN or len(set(key)) < 8:
        reader.add("server.secret_key", "too short or well known: use 32 random characters or more")


class _Reader:
    """Walks the declarations beside the YAML nodes, collecting problems with their line."""

    def __init__(self, path: Path | None, environ: Mapping[str, str], overrides: dict[str, str]) -> None:
        self.path = path
        self.environ = environ
        self.overrides = overrides
        self.problems: list[Problem] = []
        self._known_env: set[str] = set(_OUTSIDE)

    def add(self, where: str, message: str, node: yaml.Node | None = None) -> None:
        place = f"{self.path}:{node.start_mark.line + 1}: {where}" if node is not None else where
        self.problems.append(Problem(place, message))

    def read(self) -> Config:
        config = self._section(Config, self._document(), "")
        for name in sorted(self.environ):
            if name.startswith(_ENV) and name not in self._known_env:
                hint = _did_you_mean(name, self._known_env)
                self.add(name, f"unknown environment variable{hint}")
        return config if isinstance(config, Config) else Config()

    def _document(self) -> yaml.Node | None:
        if self.path is None:
            return None
        try:
            return yaml.compose(self.path.read_text(), Loader=yaml.SafeLoader)
        except OSError as error:
            self.add(str(self.path), f"cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self.add(str(self.path), "is not UTF-8 text")
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            self.add(f"{self.path}:{line}", f"not YAML: {error.problem}")
        except yaml.YAMLError as error:
            self.add(str(self.path), f"not YAML: {error}")
        return None

    def _section(self, cls: type[Any], node: yaml.Node | None, at: str) -> Any:
        """An instance of dataclass `cls` from a mapping node; None when it cannot be made."""
        given = self._mapping(node, at)
        hints = typing.get_type_hints(cls)
        values: dict[str, Any] = {}
        complete = True
        for declared in dataclasses.fields(cls):
            if cls is Config and declared.name in SETTLED:
                continue
            value = self._setting(declared, hints[declared.name], given, at)
            if value is not _MISSING:
                values[declared.name] = value
            elif _required(declared):
                complete = False
                self.add(_join(at, declared.name), "is missing or unusable", node)
        for key, (key_node, _) in given.items():
            names = [f.name for f in dataclasses.fields(cls) if f.name not in SETTLED]
            self.add(_join(at, key), f"unknown setting{_did_you_mean(key, names)}", key_node)
        return cls(**values) if complete else None

    def _mapping(self, node: yaml.Node | None, at: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        if node is None or (isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.add(at or str(self.path), "must be a mapping of settings", node)
            return {}
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in found:
                self.add(_join(at, name), "is given twice", key)
            found[name] = (key, value)
        return found

    def _setting(
        self,
        declared: dataclasses.Field[Any],
        kind: Any,
        given: dict[str, tuple[yaml.Node, yaml.Node]],
        at: str,
    ) -> Any:
        name = _join(at, declared.name)
        node = given.pop(declared.name, (None, None))[1]
        inner = _without_none(kind)
        if dataclasses.is_dataclass(inner) and isinstance(inner, type):
            if node is None and inner is not kind:
                return _MISSING
            made = self._section(inner, node, name)
            return _MISSING if made is None else made
        value = self._secret_file(name, given, declared.name) if inner is Secret else _MISSING
        if node is not None:
            value = self._value(inner, node, name)
        outside = self._outside(name, inner)
        if outside is not _MISSING:
            value, node = outside, None
        check = declared.metadata.get("check")
        if value is not _MISSING and value is not None and check and (wrong := check(value)):
            self.add(name, wrong, node)
        return value

    def _secret_file(self, name: str, given: dict[str, tuple[yaml.Node, yaml.Node]], key: str) -> Any:
        node = given.pop(f"{key}_file", (None, None))[1]
        return _MISSING if node is None else self._read_secret(Path(str(node.value)), f"{name}_file", node)

    def _read_secret(self, file: Path, name: str, node: yaml.Node | None = None) -> Any:
        if not file.is_absolute() and node is not None and self.path is not None:
            file = self.path.parent / file
        try:
            return Secret(file.read_text().strip())
        except (OSError, UnicodeDecodeError) as error:
            self.add(name, f"{file} cannot be read: {getattr(error, 'strerror', 'not text')}", node)
            return _MISSING

    def _outside(self, name: str, kind: Any) -> Any:
        """The value from the command line or the environment; only plain settings can come from there."""
        if "[" in name or get_origin(kind) in (tuple, dict):
            return _MISSING
        variable = _SHORT.get(name, _ENV + name.replace(".", "_").upper())
        self._known_env.add(variable)
        if kind is Secret:
            self._known_env.add(f"{variable}_FILE")
            if file := self.environ.get(f"{variable}_FILE"):
                return self._read_secret(Path(file), f"{variable}_FILE")
        text = self.overrides.get(name, self.environ.get(variable))
        if text is None:
            return _MISSING
        where = name if name in self.overrides else variable
        return self._plain(kind, text, where, None)

    def _value(self, kind: Any, node: yaml.Node, at: str) -> Any:
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):
            return None
        if get_origin(kind) is tuple:
            return self._items(get_args(kind)[0], node, at)
        if get_origin(kind) is dict:
            return {key: str(value.value) for key, (_, value) in self._mapping(node, at).items()}
        if not isinstance(node, yaml.ScalarNode):
            self.add(at, f"must be {_say(kind)}, not a list or mapping", node)
            return _MISSING
        return self._plain(kind, str(node.value), at, node)

    def _items(self, kind: Any, node: yaml.Node, at: str) -> Any:
        if not isinstance(node, yaml.SequenceNode):
            self.add(at, "must be a list", node)
            return _MISSING
        made = []
        for index, item in enumerate(node.value):
            where = f"{at}[{index}]"
            if dataclasses.is_dataclass(kind):
                one = self._section(typing.cast("type[Any]", kind), item, where)
            else:
                one = self._value(kind, item, where)
            if one is not None and one is not _MISSING:
                made.append(one)
        names = [getattr(one, "called", one.name) for one in made if hasattr(one, "name")]
        for twice in sorted({name for name in names if names.count(name) > 1}):
            self.add(at, f"{twice!r} is there twice: names must differ", node)
        return tuple(made)

    def _plain(self, kind: Any, text: str, at: str, node: yaml.Node | None) -> Any:
        try:
            return _convert(kind, text, self.path if node is not None else None)
        except ValueError as error:
            self.add(at, str(error), node)
            return _MISSING


def _convert(kind: Any, text: str, beside: Path | None) -> Any:
    """Text as a value of `kind`; ValueError says in a sentence what was expected."""
    if kind is bool:
        if text.lower() not in {"true", "false"}:
            raise ValueError(f"{text!r} is neither true nor false")
        return text.lower() == "true"
    if kind is int:
        if not text.removeprefix("-").isdigit():
            raise ValueError(f"{text!r} is not a whole number")
        return int(text)
    if kind is float:
        return _number(text)
    if kind is timedelta:
        return parse_duration(text)
    if kind is Secret:
        return Secret(text)
    if kind is Path:
        path = Path(text).expanduser()
        return path if path.is_absolute() or beside is None else beside.parent / path
    if get_origin(kind) is Literal and text not in get_args(kind):
        raise ValueError(f"{text!r} is not one of {', '.join(get_args(kind))}")
    return text


def _number(text: str) -> float:
    """`0.05`, `1.5`, or a percentage such as `5%`; ValueError for anything else, infinity included."""
    digits, percent, _ = text.strip().partition("%")
    if not re.fullmatch(r"\d+(\.\d+)?", digits.strip()) or text.strip() not in (digits, f"{digits}%"):
        raise ValueError(f"{text!r} is no number such as 1.5 or 5%")
    return float(digits) / 100 if percent else float(digits)


def _required(declared: dataclasses.Field[Any]) -> bool:
    return declared.default is dataclasses.MISSING and declared.default_factory is dataclasses.MISSING


def _without_none(kind: Any) -> Any:
    """X of `X | None`."""
    if get_origin(kind) in (types.UnionType, typing.Union):
        return next(arg for arg in get_args(kind) if arg is not type(None))
    return kind


def _say(kind: Any) -> str:
    words = {
        bool: "true or false",
        int: "a whole number",
        float: "a number such as 1.5 or 5%",
        timedelta: "a duration such as 30s",
        Path: "a path",
    }
    return words.get(kind, "a text")


def _join(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _did_you_mean(word: str, known: typing.Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""
