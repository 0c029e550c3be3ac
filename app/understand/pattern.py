"""Regular expressions in linear time: a set of states per character, never a way back (Thompson 1968).

Python's own `re` may take exponential time on a hostile pattern, and these come from the address bar. Known
are literals, `.`, classes, `\\d \\w \\s`, groups, `|`, `* + ? {n,m}`, `^` and `$`; case is ignored. Anything
else is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Never

LONGEST = 200  # characters of a pattern
LONGEST_TEXT = 256  # characters of a text that are looked at: a Kubernetes name has at most 253
_MOST_STEPS = 256  # instructions after repetitions are written out
_MOST_REMEMBERED = 20_000  # transitions

Test = Callable[[str], bool]
_CLASSES: dict[str, Test] = {
    "d": str.isdecimal,
    "w": lambda char: char.isalnum() or char == "_",
    "s": str.isspace,
}


class PatternError(ValueError):
    """A pattern that cannot be used; `at` counts its characters from 0."""

    def __init__(self, at: int, expected: str) -> None:
        super().__init__(expected)
        self.at = at
        self.expected = expected


@dataclass(frozen=True, slots=True)
class _Char:
    """One character that passes a test."""

    test: Test

    @property
    def size(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class _Edge:
    """The start or the end of the text."""

    end: bool

    @property
    def size(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class _Sequence:
    """One part after the other."""

    parts: tuple[_Part, ...]

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Choice:
    """One part of several."""

    parts: tuple[_Part, ...]

    @property
    def size(self) -> int:
        return sum(part.size + 2 for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Repeat:
    """A part `low` to `high` times; None = as often as it comes."""

    part: _Part
    low: int
    high: int | None

    @property
    def size(self) -> int:
        return (self.part.size + 2) * max(1, self.low, self.high or 0)


_Part = _Char | _Edge | _Sequence | _Choice | _Repeat


class _Parser:
    """Recursive descent over one pattern."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 4 if text.startswith("(?i)") else 0

    def parse(self) -> _Part:
        found = self._choice()
        if self._at < len(self._text):
            self._fail("no ) without its (")
        return found

    def _fail(self, expected: str) -> Never:
        raise PatternError(self._at, expected)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._peek()
        self._at += 1
        return char

    def _choice(self) -> _Part:
        parts = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else _Choice(tuple(parts))

    def _sequence(self) -> _Part:
        parts: list[_Part] = []
        while self._peek() and self._peek() not in "|)":
            parts.append(self._repeated(self._one()))
        return _Sequence(tuple(parts))

    def _repeated(self, part: _Part) -> _Part:
        while self._peek() and self._peek() in "*+?{":
            low, high = self._count()
            part = _Repeat(part, low, high)
        return part

    def _count(self) -> tuple[int, int | None]:
        char = self._take()
        if char != "{":
            if self._peek() == "?":  # lazy: the same answer
                self._at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        body, closed, _ = self._text[self._at :].partition("}")
        first, comma, last = body.partition(",")
        if not closed or not _is_number(first) or not (_is_number(last) or last == ""):
            self._fail("a count such as {2} or {1,3}")
        self._at += len(body) + 1
        low, high = int(first), (int(last) if last else None) if comma else int(first)
        if high is not None and high < low:
            self._fail("a count that does not end before it begins")
        return low, high

    def _one(self) -> _Part:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return _Char(self._class())
        if char == "\\":
            return _Char(_either_case(self._escaped()))
        if char in "^$":
            return _Edge(end=char == "$")
        if char in "*+?{":
            self._at -= 1
            self._fail(f"something before {char}")
        return _Char(_any if char == "." else _either_case(_same(char)))

    def _group(self) -> _Part:
        if self._text.startswith("?:", self._at):
            self._at += 2
        elif self._peek() == "?":
            self._fail("a plain group: no look-around, no names, no flags")
        found = self._choice()
        if self._peek() != ")":
            self._fail(") at the end of the group")
        self._at += 1
        return found

    def _escaped(self) -> Test:
        char = self._take()
        if not char:
            self._fail("a character after \\")
        if char.lower() in _CLASSES:
            test = _CLASSES[char.lower()]
            return _not(test) if char.isupper() else test
        if char.isalnum():
            self._at -= 2
            self._fail("\\d, \\w, \\s or an escaped sign: no back-references")
        return _same(char)

    def _class(self) -> Test:
        inverted = self._peek() == "^"
        self._at += inverted
        tests: list[Test] = []
        while self._peek() != "]" or not tests:
            if not self._peek():
                self._fail("] at the end of the class")
            tests.append(self._member())
        self._at += 1
        found = _either_case(_any_of(tuple(tests)))
        return _not(found) if inverted else found

    def _member(self) -> Test:
        low = self._take()
        if low == "\\":
            return self._escaped()
        follows = self._text[self._at : self._at + 2]
        if len(follows) == 2 and follows[0] == "-" and follows[1] != "]":
            self._at += 2
            return _between(low, follows[1])
        return _same(low)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3


def _any(_: str) -> bool:
    return True


def _same(wanted: str) -> Test:
    return lambda char: char == wanted


def _between(low: str, high: str) -> Test:
    return lambda char: low <= char <= high


def _not(test: Test) -> Test:
    return lambda char: not test(char)


def _any_of(tests: tuple[Test, ...]) -> Test:
    return lambda char: any(test(char) for test in tests)


def _either_case(test: Test) -> Test:
    return lambda char: test(char.lower()) or test(char.upper())


@dataclass(slots=True)
class _Step:
    """An instruction: a test (or an edge of the text, or nothing) and where it leads."""

    then: list[int]
    test: Test | None = None
    edge: _Edge | None = None


def _write(part: _Part, steps: list[_Step]) -> None:
    """Append the instructions of a part; each falls through to what is appended next."""
    match part:
        case _Char(test):
            steps.append(_Step([len(steps) + 1], test=test))
        case _Edge():
            steps.append(_Step([len(steps) + 1], edge=part))
        case _Sequence(parts):
            for one in parts:
                _write(one, steps)
        case _Choice(parts):
            _write_choice(parts, steps)
        case _Repeat(inner, low, high):
            for _ in range(low):
                _write(inner, steps)
            _write_optional(inner, steps, None if high is None else high - low)


def _write_choice(parts: Iterable[_Part], steps: list[_Step]) -> None:
    fork = _Step([])
    steps.append(fork)
    ends: list[_Step] = []
    for part in parts:
        fork.then.append(len(steps))
        _write(part, steps)
        ends.append(_Step([]))
        steps.append(ends[-1])
    for end in ends:
        end.then.append(len(steps))


def _write_optional(part: _Part, steps: list[_Step], times: int | None) -> None:
    forks: list[_Step] = []
    for _ in range(1 if times is None else times):
        fork = _Step([len(steps) + 1])
        start = len(steps)
        steps.append(fork)
        forks.append(fork)
        _write(part, steps)
        if times is None:
            steps.append(_Step([start]))
    for fork in forks:
        fork.then.append(len(steps))


@dataclass(slots=True)
class _State:
    """Instructions that wait for a character, and whether the text so far, or up to its end, matches."""

    waiting: frozenset[int]
    matched: bool
    matched_at_end: bool
    after: dict[str, _State] = field(default_factory=dict)


class Pattern:
    """A compiled pattern. Time is linear in the text; what it learnt of states is kept, within bounds."""

    def __init__(self, text: str) -> None:
        """Raises PatternError."""
        if len(text) > LONGEST:
            raise PatternError(LONGEST, f"at most {LONGEST} characters")
        part = _Parser(text).parse()
        if part.size > _MOST_STEPS:
            raise PatternError(0, "a smaller pattern: its repetitions are too many")
        self._steps: list[_Step] = []
        _write(part, self._steps)
        self._forget()

    def search(self, text: str) -> bool:
        """Whether the pattern occurs anywhere in the text."""
        state = self._first
        for char in text[:LONGEST_TEXT]:
            if state.matched:
                return True
            state = state.after.get(char) or self._next(state, char)
        return state.matched or state.matched_at_end

    def _forget(self) -> None:
        self._known: dict[frozenset[int], _State] = {}
        self._remembered = 0
        self._first = self._state([0], start=True)

    def _next(self, state: _State, char: str) -> _State:
        if self._remembered >= _MOST_REMEMBERED:
            self._forget()
        passed = [0]
        for number in state.waiting:
            step = self._steps[number]
            if step.test is not None and step.test(char):
                passed += step.then
        found = state.after[char] = self._state(passed, start=False)
        self._remembered += 1
        return found

    def _state(self, entered: list[int], *, start: bool) -> _State:
        reached = self._reach(entered, start=start, end=False)
        known = None if start else self._known.get(reached)
        if known is not None:
            return known
        last = len(self._steps)
        at_end = last in self._reach(list(reached), start=start, end=True)
        state = _State(reached, last in reached, at_end)
        if not start:
            self._known[reached] = state
        return state

    def _reach(self, entered: list[int], *, start: bool, end: bool) -> frozenset[int]:
        """Everything that is reached without reading a character."""
        found: set[int] = set()
        open_ = list(entered)
        while open_:
            number = open_.pop()
            if number in found:
                continue
            found.add(number)
            if number == len(self._steps):
                continue
            step = self._steps[number]
            if step.test is None and (step.edge is None or (end if step.edge.end else start)):
                open_ += step.then
        return frozenset(found)
