"""Find and hide expressions: text to a tree (grammar: reference, inspections 12.3).

AND binds tighter than OR, juxtaposition is AND, a bare word is part of a name. Case never matters. What a tree
selects is told by `selection`; which fields there are by `fields`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Never

from app.understand import fields
from app.understand.fields import Field, Of, Operand, Scope, Type
from app.understand.pattern import Pattern, PatternError

LONGEST = 1000
MOST_TERMS = 64
_DEEPEST = 32  # parentheses within parentheses

_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
        |(?P<op>!\*=|!\^=|!\$=|!~|!=|<=|>=|\*=|\^=|\$=|=~|==|[=<>~])
        |(?P<sign>[!(),])
        |(?P<word>(?:[^\s()<>=~!,"'*^$]|[*^$](?!=))+)
        |(?P<open>["'])|(?P<end>$))""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)([A-Za-z%]*)")


class ExpressionError(ValueError):
    """An expression that cannot be read: the column (from 1) and what was expected there."""

    def __init__(self, at: int, expected: str) -> None:
        super().__init__(f"col {at + 1}: {expected}")
        self.column = at + 1
        self.expected = expected


class Op(StrEnum):
    """Comparisons; SET = the flag holds, or the field has a value at all."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    HAS = "*="
    HAS_NOT = "!*="
    STARTS = "^="
    STARTS_NOT = "!^="
    ENDS = "$="
    ENDS_NOT = "!$="
    LIKE = "~"
    UNLIKE = "!~"
    IN = "IN"
    NOT_IN = "NOT IN"
    SET = "is"


_WORDS = {"contains": Op.HAS, "startswith": Op.STARTS, "endswith": Op.ENDS}
_NEGATED = {Op.HAS: Op.HAS_NOT, Op.STARTS: Op.STARTS_NOT, Op.ENDS: Op.ENDS_NOT}
_SPELLINGS = {"=~": Op.LIKE, "==": Op.EQ}
_OF_NUMBERS = frozenset({Op.EQ, Op.NE, Op.LT, Op.LE, Op.GT, Op.GE, Op.IN, Op.NOT_IN})
_ORDERED = frozenset({Op.LT, Op.LE, Op.GT, Op.GE})

Value = str | float | Pattern | None  # None = no evidence


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison or flag. Text values are casefolded, numbers in base units (seconds, shares, rps, bytes)."""

    field: Field
    scope: Scope
    op: Op
    values: tuple[Value, ...] = ()
    written: str = ""

    def __str__(self) -> str:
        name = f"{self.scope}.{self.field.name}" if self.scope else self.field.name
        if self.op is Op.SET:
            return name
        told = ["none" if v is None else f"{v:g}" if isinstance(v, float) else str(v) for v in self.values]
        if self.op in (Op.IN, Op.NOT_IN):
            return f"{name} {self.op} ({', '.join(told)})"
        return f"{name} {self.op} {self.written or told[0]}"

    @property
    def on_edges(self) -> bool:
        """Whether it can only be asked of a connection."""
        return self.scope is not Scope.HERE or self.field.of is Of.EDGE


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    part: Tree

    def __str__(self) -> str:
        return f"NOT({self.part})"


@dataclass(frozen=True, slots=True)
class And:
    """All of them."""

    parts: tuple[Tree, ...]

    def __str__(self) -> str:
        return f"AND({', '.join(map(str, self.parts))})"


@dataclass(frozen=True, slots=True)
class Or:
    """Any of them."""

    parts: tuple[Tree, ...]

    def __str__(self) -> str:
        return f"OR({', '.join(map(str, self.parts))})"


Tree = Term | Not | And | Or


def terms(tree: Tree) -> Iterator[Term]:
    """Every comparison and flag of a tree."""
    match tree:
        case Term():
            yield tree
        case Not(part):
            yield from terms(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from terms(part)


@lru_cache(maxsize=256)
def parse(text: str) -> Tree | None:
    """The tree of an expression; None for an empty one. Raises ExpressionError."""
    if len(text) > LONGEST:
        raise ExpressionError(LONGEST, f"expected at most {LONGEST} characters")
    tokens = _tokens(text)
    return None if tokens[0].kind == "end" else _Parser(tokens).parse()


@dataclass(frozen=True, slots=True)
class _Token:
    """A word, a quoted text, an operator, a sign or the end, and where it stands."""

    kind: str
    text: str
    at: int

    @property
    def word(self) -> str:
        """A bare word in lower case, else nothing."""
        return self.text.casefold() if self.kind == "word" else ""


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while not found or found[-1].kind != "end":
        match = _TOKEN.match(text, at)
        if match is None:  # an operator sign that begins nothing
            at += len(text[at:]) - len(text[at:].lstrip())
            raise ExpressionError(at, "expected a field, a word or an operator")
        kind = str(match.lastgroup)
        if kind == "open":
            raise ExpressionError(match.start(kind), f"expected a closing {match[kind]}")
        found.append(_Token(kind, match[kind], match.start(kind)))
        at = match.end()
    return found


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._count = 0
        self._depth = 0

    def parse(self) -> Tree:
        found = self._or()
        if self._now.kind != "end":
            self._fail("expected AND, OR or the end")
        return found

    @property
    def _now(self) -> _Token:
        return self._tokens[self._next]

    def _after(self) -> _Token:
        return self._tokens[min(self._next + 1, len(self._tokens) - 1)]

    def _take(self) -> _Token:
        token = self._now
        self._next += token.kind != "end"
        return token

    def _fail(self, expected: str, token: _Token | None = None) -> Never:
        raise ExpressionError((token or self._now).at, expected)

    def _or(self) -> Tree:
        parts = [self._and()]
        while self._now.word == "or":
            self._take()
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _and(self) -> Tree:
        parts = [self._not()]
        while not (self._now.kind == "end" or self._now.word == "or" or self._now.text in (")", ",")):
            if self._now.kind == "op":
                self._fail("expected AND, OR or the end")
            if self._now.word == "and":
                self._take()
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _not(self) -> Tree:
        negated = False
        while self._now.word == "not" or (self._now.kind == "sign" and self._now.text == "!"):
            self._take()
            negated = not negated
        part = self._primary()
        return Not(part) if negated else part

    def _primary(self) -> Tree:
        if self._now.kind == "sign" and self._now.text == "(":
            return self._group()
        self._count += 1
        if self._count > MOST_TERMS:
            self._fail(f"expected at most {MOST_TERMS} terms")
        if self._now.word in ("is", "has") and fields.OPERANDS.get(self._after().word.rpartition(".")[2]):
            self._take()
        if self._now.kind == "quoted":
            return self._name(_unquoted(self._take().text))
        if self._now.kind != "word" or self._now.word in ("and", "or"):
            self._fail("expected a field, a flag, a word or (")
        return self._word()

    def _group(self) -> Tree:
        self._take()
        self._depth += 1
        if self._depth > _DEEPEST:
            self._fail(f"expected at most {_DEEPEST} parentheses within each other")
        found = self._or()
        if self._now.text != ")" or self._now.kind != "sign":
            self._fail(f"expected ) {'at the end' if self._now.kind == 'end' else 'here'}")
        self._take()
        self._depth -= 1
        return found

    def _word(self) -> Tree:
        """A comparison, a flag, or part of a name."""
        token = self._take()
        operand = _operand(token)
        op_token = self._now
        op = self._operator()
        if op is not None and operand is None:
            self._fail(f"expected a field such as {', '.join(list(fields.OWN)[:10])}", token)
        if operand is None:
            return self._name(token.text)
        if op is not None:
            return self._comparison(operand, op, op_token)
        if operand.field.type is Type.FLAG or operand.field.name.startswith("label:"):
            return Term(operand.field, operand.scope, Op.SET)
        if operand.field.name == "changed":  # as a flag: within the last hour
            return Term(operand.field, operand.scope, Op.LT, (3600.0,))
        return self._name(token.text)

    def _name(self, text: str) -> Term:
        return Term(fields.OWN["name"].field, Scope.HERE, Op.HAS, (text.casefold(),), text)

    def _operator(self) -> Op | None:
        token, after = self._now, self._after()
        if token.kind == "op":
            self._take()
            return _SPELLINGS.get(token.text) or Op(token.text)
        if token.word in _WORDS:
            self._take()
            return _WORDS[token.word]
        if token.word == "in" and after.text == "(":
            self._take()
            return Op.IN
        if token.word == "not" and (after.word in _WORDS or after.word == "in"):
            self._take()
            self._take()
            return Op.NOT_IN if after.word == "in" else _NEGATED[_WORDS[after.word]]
        return None

    def _comparison(self, operand: Operand, op: Op, token: _Token) -> Term:
        field = operand.field
        if field.type is Type.FLAG:
            self._fail(f"expected no operator: {field.name} is a flag", token)
        if field.type is Type.NUMBER and op not in _OF_NUMBERS:
            self._fail("expected = != < <= > >= or IN", token)
        if field.type is Type.TEXT and op in _ORDERED:
            self._fail("expected = != *= ^= $= ~ or IN", token)
        first = self._now
        values = self._list(field) if op in (Op.IN, Op.NOT_IN) else (self._value(field, op),)
        written = _unquoted(first.text) if first.kind == "quoted" else first.text
        return Term(field, operand.scope, op, values, written if field.type is Type.TEXT else "")

    def _list(self, field: Field) -> tuple[Value, ...]:
        if self._take().text != "(":
            self._fail("expected ( and a list", self._tokens[self._next - 1])
        found = [self._value(field, Op.IN)]
        while self._now.text == ",":
            self._take()
            found.append(self._value(field, Op.IN))
        if self._now.text != ")":
            self._fail("expected , or )")
        self._take()
        return tuple(found)

    def _value(self, field: Field, op: Op) -> Value:
        token = self._now
        expected = field.unit.expected if field.type is Type.NUMBER else "a value"
        if token.kind not in ("word", "quoted"):
            self._fail(f"expected {expected}")
        self._take()
        if token.word in ("none", "nan"):
            if op not in (Op.EQ, Op.NE):
                self._fail(f"expected {expected}; none goes with = and != only", token)
            return None
        return self._number(field, token) if field.type is Type.NUMBER else self._text(field, op, token)

    def _number(self, field: Field, token: _Token) -> float:
        found = _NUMBER.fullmatch(token.text)
        if found is None:
            self._fail(f"expected {field.unit.expected}", token)
        number, suffix = float(found[1]), found[2].casefold()
        if not suffix and self._now.word in field.unit.factors:
            suffix = self._take().word  # `300 ms`
        factor = field.unit.factors.get(suffix) if suffix else field.unit.bare
        if factor is None and not suffix and number == 0:
            factor = 1.0
        if factor is None or not math.isfinite(number):
            self._fail(f"expected {field.unit.expected}", token)
        return number * factor

    def _text(self, field: Field, op: Op, token: _Token) -> Value:
        text = _unquoted(token.text) if token.kind == "quoted" else token.text
        if op in (Op.LIKE, Op.UNLIKE):
            try:
                return Pattern(text)
            except PatternError as error:
                at = token.at + min(error.at, len(token.text)) + (token.kind == "quoted")
                raise ExpressionError(at, f"expected {error.expected}") from error
        if field.choices and op in (Op.EQ, Op.NE, Op.IN, Op.NOT_IN) and text.casefold() not in field.choices:
            self._fail(f"expected one of {', '.join(field.choices)}", token)
        return text.casefold()


def _operand(token: _Token) -> Operand | None:
    """The field that a word names, with its prefix; None for any other word. Raises ExpressionError."""
    prefix, dot, rest = token.text.partition(".")
    scope = Scope(prefix.casefold()) if dot and prefix.casefold() in ("from", "to", "edge") else Scope.HERE
    name = rest if scope else token.text
    if name.casefold().startswith("label:") and len(name) > len("label:"):
        found: Operand | None = fields.label(name[len("label:") :])
    else:
        found = fields.OPERANDS.get(name.casefold())
    if scope is Scope.HERE or found is None:
        return found
    if scope is Scope.EDGE and found.field.of is Of.NODE:
        raise ExpressionError(
            token.at, f"expected a field of a connection after edge.: {found.field.name} is not"
        )
    if scope is not Scope.EDGE and found.field.of is Of.EDGE:
        raise ExpressionError(
            token.at, f"expected a field of a node after {scope}.: {found.field.name} is not"
        )
    return Operand(found.field, scope)


def _unquoted(text: str) -> str:
    """Only quotes and backslashes are escaped: a pattern keeps its own."""
    return re.sub(r"\\([\"'\\])", r"\1", text[1:-1])
