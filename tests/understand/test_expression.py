"""Find and hide expressions: what text means (vectors of the reference, inspections 12.3)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.understand import fields
from app.understand.expression import LONGEST, MOST_TERMS, ExpressionError, parse


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("ns=foo OR ns=bar AND app=foo", "OR(ns = foo, AND(ns = bar, name = foo))"),
        ("(ns=foo OR ns=bar) AND app=foo", "AND(OR(ns = foo, ns = bar), name = foo)"),
        ("ns=foo OR protocol=http AND !traffic", "OR(ns = foo, AND(protocol = http, NOT(traffic)))"),
        ("checkout err > 5%", "AND(name *= checkout, err > 0.05)"),
        ("from.ns = shop AND p95 > 300ms AND async", "AND(from.ns = shop, p95 > 0.3, async)"),
        ("ns=foo AND protocol=http", "AND(ns = foo, protocol = http)"),
        ("!healthy", "NOT(healthy)"),
        ("NOT status = healthy", "NOT(status = healthy)"),
        ('name = "a and b"', "name = a and b"),
        ('name = "x=1"', "name = x=1"),
        ("label:region", "label:region"),
        ("!label:region", "NOT(label:region)"),
        ("!(label:region = east)", "NOT(label:region = east)"),
        ("rate = none", "rate = none"),
        ("rank <= 2 OR changed < 30m", "OR(rank <= 2, changed < 1800)"),
        ("rt > 1000", "edge.p95 > 1"),
        # beyond the reference
        ("health = failing rps > 10 evidence = traces", "AND(status = failing, rate > 10, source = traces)"),
        ("name !~ '^a|b$'", "name !~ ^a|b$"),
        ('name=~"^a"', "name ~ ^a"),
        ("%httperr >= 5 and responsetime < 20", "AND(err >= 0.05, edge.p95 < 0.02)"),
        ("p95 > 300 ms", "p95 > 0.3"),
        ("err = 0", "err = 0"),
        ("rate != NaN", "rate != none"),
        ("name CONTAINS a Or NAME not contains b", "OR(name *= a, name !*= b)"),
        ("ns in (a, 'b c') ns NOT IN (d)", "AND(ns IN (a, b c), ns NOT IN (d))"),
        ("is healthy and has traffic", "AND(healthy, traffic)"),
        ("!!idle", "idle"),
        ('"or"', "name *= or"),
        ("rate", "name *= rate"),
        ("changed", "changed < 3600"),
        ("from.healthy !to.healthy", "AND(from.healthy, NOT(to.healthy))"),
    ],
)
def test_an_expression_is_read_as(text, tree):
    assert str(parse(text)) == tree


@pytest.mark.parametrize("text", ["", "  ", "\t\n"])
def test_nothing_selects_nothing_in_particular(text):
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("p95 > fast", "col 7: expected a number with unit ms or s"),
        ("(ns=foo", "col 8: expected ) at the end"),
        ("a p95 >= 3", "col 10: expected a number with unit ms or s"),
        ("err > 5", "col 7: expected a number with unit %"),
        ("p95 >", "col 6: expected a number with unit ms or s"),
        ("p95 > none", "col 7: expected a number with unit ms or s; none goes with = and != only"),
        ("p95 *= 3", "col 5: expected = != < <= > >= or IN"),
        ("ns < a", "col 4: expected = != *= ^= $= ~ or IN"),
        ("status = broken", "col 10: expected one of failing, degraded, unknown, maintenance, idle, healthy"),
        ("healthy = 1", "col 9: expected no operator: healthy is a flag"),
        ("a)", "col 2: expected AND, OR or the end"),
        ("name = x=1", "col 9: expected AND, OR or the end"),
        ("a OR", "col 5: expected a field, a flag, a word or ("),
        ("and b", "col 1: expected a field, a flag, a word or ("),
        ('name = "open', 'col 8: expected a closing "'),
        ("ns in (a", "col 9: expected , or )"),
        ("edge.ns = a", "col 1: expected a field of a connection after edge.: ns is not"),
        ("from.async", "col 1: expected a field of a node after from.: async is not"),
        ("name ~ '(a'", "col 11: expected ) at the end of the group"),
        (r"name ~ '(a)\1'", "col 12: expected \\d, \\w, \\s or an escaped sign: no back-references"),
        ("name ~ '(?=a)'", "col 10: expected a plain group: no look-around, no names, no flags"),
        ("x" * (LONGEST + 1), f"col {LONGEST + 1}: expected at most {LONGEST} characters"),
        ("a " * (MOST_TERMS + 1), f"col {2 * MOST_TERMS + 1}: expected at most {MOST_TERMS} terms"),
        ("(" * 40 + "a" + ")" * 40, "col 34: expected at most 32 parentheses within each other"),
    ],
)
def test_an_error_tells_where_and_what_was_expected(text, sentence):
    with pytest.raises(ExpressionError) as told:
        parse(text)
    assert str(told.value) == sentence


def test_an_unknown_field_is_told_with_those_there_are():
    with pytest.raises(ExpressionError, match=r"^col 3: expected a field such as name, ns, "):
        parse("a nmae = x")


def test_every_operand_of_the_table_is_read():
    for name, operand in fields.OPERANDS.items():
        text = name
        if operand.field.type is fields.Type.NUMBER:
            text += " = none"
        elif operand.field.type is fields.Type.TEXT:
            text += " != none"
        assert str(parse(text)).endswith(operand.field.name + text[len(name) :])


_PIECES = (
    "a ns p95 from. to.ns edge.rate label:x and OR not ! ( ) , = != < >= ~ !~ *= in 5% 3s none healthy async"
)
_WORDS = st.sampled_from([*_PIECES.split(), '"', "'x", "changed", "\\", "é"])


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60), st.lists(_WORDS, max_size=25).map(" ".join), st.lists(_WORDS).map("".join)
    )
)
def test_whatever_is_typed_is_read_or_refused_with_a_column_of_it(text):
    error = refusal(text)
    if error is not None:
        assert 1 <= error.column <= len(text) + 1
        assert str(error).startswith(f"col {error.column}: expected ")


def refusal(text: str) -> ExpressionError | None:
    try:
        assert parse(text) is not None or not text.strip()
    except ExpressionError as error:
        return error
    return None
