"""What changed between two windows: classes, guards, ranking, words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.model.fleet import EvidenceKind, Frame, Heard
from app.model.series import BUCKETS, Window, histogram
from app.store.frame_blob import decode_names, decode_stored, encode_frame
from app.store.frame_stretch import Kept
from app.understand.diff import Mark, Why
from app.understand.diff_rows import Difference
from app.understand.diff_words import answer, notices, said
from app.understand.spread import spread
from tests.support.factories import NOON

MINUTE = timedelta(minutes=1)
TRACES, MESH = EvidenceKind.TRACES, EvidenceKind.MESH
EDGE = "demo:shop:order>demo:shop:payment>http"
DEEPER = "demo:shop:payment>demo:~database:postgresql@db:5432>postgresql"


def call(requests=600.0, failed=0.0, seconds=0.1, by=(TRACES,)):
    """One edge in one minute."""
    return requests, failed, seconds, by


NOBODY = (float("nan"), float("nan"), 0.0, ())


def minute(index, edges, *, alive=((TRACES, 1.0),), versions="", node=NOBODY):
    """A frame of the minute `index` with these edges (id -> call), and payment as `node`."""
    ids = tuple(sorted(edges))
    rows = [edges[key] for key in ids]
    latency = np.zeros((len(ids), BUCKETS))
    for i, (requests, _, seconds, _) in enumerate(rows):
        if requests == requests:
            latency[i] = histogram(np.array([seconds])) * requests
    return Frame(
        cluster="demo",
        start=NOON + index * MINUTE,
        length=MINUTE,
        node_ids=("demo:shop:payment",),
        node_requests=np.array([node[0]]),
        node_failed=np.array([node[1]]),
        node_latency=np.zeros((1, BUCKETS)),
        node_seen=np.array([sum(kind.bit for kind in node[3])], np.uint16),
        edge_ids=ids,
        edge_requests=np.array([row[0] for row in rows], float),
        edge_failed=np.array([row[1] for row in rows], float),
        edge_latency=latency,
        attributes={"demo:shop:payment": {"name": "payment"} | ({"versions": versions} if versions else {})},
        edge_seen=np.array([sum(kind.bit for kind in row[3]) for row in rows], np.uint16),
        witnesses={kind.value: Heard(60.0, share) for kind, share in alive},
    )


def kept(frames):
    """The window of these minutes, through the stored form."""
    found = []
    for frame in frames:
        _, names, body = encode_frame(frame)
        found.append((decode_stored(body), decode_names(names)))
    return Kept("demo", Window(frames[0].start, frames[-1].start + MINUTE), found)


def window(first, edges, length=10, **more):
    return kept([minute(first + i, edges, **more) for i in range(length)])


def row(before, after):
    return Difference(before, after).row(EDGE)


def test_the_same_calls_are_the_same():
    found = Difference(window(0, {EDGE: call()}), window(10, {EDGE: call()}))
    assert found.edge_counts[Mark.SAME] == 1
    assert answer([found]) == "No connection is new, gone or clearly different (1 compared)."


@pytest.mark.parametrize(
    ("before", "after", "mark", "words"),
    [
        (call(), call(failed=72.0), Mark.WORSE, "errors 0 % → 12 %"),
        (call(failed=72.0), call(), Mark.BETTER, "errors 12 % → 0 %"),
        (call(failed=1.0), call(failed=3.0), Mark.SAME, "as before"),
        (call(requests=6.0), call(requests=6.0, failed=1.0), Mark.WORSE, "errors 0 % → 17 %"),
        (
            call(requests=1.0),
            call(requests=1.0, failed=1.0),
            Mark.INCOMPARABLE,
            "too few requests to tell (10 / 10)",
        ),
        (call(seconds=0.18), call(seconds=2.1), Mark.WORSE, "p95 186 ms → 2.5 s"),
        (call(seconds=0.010), call(seconds=0.030), Mark.SAME, "as before"),
        (call(seconds=0.4), call(seconds=0.5), Mark.SAME, "as before"),
        (call(), call(requests=1800.0), Mark.VOLUME, "10 rps → 30 rps (×3)"),
        (call(requests=12.0), call(requests=36.0), Mark.SAME, "as before"),
        (call(), call(requests=0.0), Mark.GONE, "10 rps → none"),
        (call(requests=0.0), call(), Mark.NEW, "none → 10 rps since 12:10"),
    ],
)
def test_each_difference_has_its_class_and_words(before, after, mark, words):
    found = row(window(0, {EDGE: before}), window(10, {EDGE: after}))
    assert (found.mark, said(found)) == (mark, words)


def test_what_got_worse_outweighs_what_got_better():
    found = row(window(0, {EDGE: call(seconds=2.0)}), window(10, {EDGE: call(failed=72.0)}))
    assert (found.mark, found.errors, found.latency) == (Mark.WORSE, 1, -1)


def test_an_edge_that_is_not_there_is_gone_only_if_its_source_was_alive():
    before = window(0, {EDGE: call()})
    assert row(before, window(10, {})).mark is Mark.GONE
    blind = row(before, window(10, {}, alive=()))
    assert (blind.mark, blind.why) == (Mark.INCOMPARABLE, Why.BLIND_B)
    assert said(blind) == "no traces in B"
    elsewhere = row(before, window(10, {}, alive=((MESH, 1.0),)))
    assert elsewhere.mark is Mark.INCOMPARABLE


def test_an_edge_is_new_only_if_its_source_was_alive_before():
    after = window(10, {EDGE: call()})
    assert row(window(0, {}), after).mark is Mark.NEW
    assert row(window(0, {}, alive=()), after).why == Why.BLIND_A


def test_a_kind_of_evidence_that_only_one_window_had_is_named():
    found = Difference(window(0, {}, alive=((MESH, 1.0),)), window(10, {EDGE: call(), DEEPER: call()}))
    assert answer([found]) == "2 connections not comparable (no traces in A; no istio in B)."


def test_a_blind_stretch_is_told_with_its_times():
    silent = [minute(i, {EDGE: call(requests=float("nan"))}, alive=()) for i in range(4, 10)]
    before = kept([*(minute(i, {EDGE: call()}) for i in range(4)), *silent])
    found = Difference(before, window(10, {EDGE: call(), DEEPER: call()}))
    assert found.row(EDGE).mark is Mark.SAME
    assert found.row(DEEPER).why == Why.BLIND_A
    assert "1 connection not comparable (no traces in A 12:04–12:10)" in answer([found])


def test_kinds_of_evidence_that_were_blind_together_are_told_together():
    both = ((TRACES, 1.0), (MESH, 1.0))
    early = [minute(i, {EDGE: call()}, alive=()) for i in range(4)]
    before = kept([*early, *(minute(i, {EDGE: call()}, alive=both) for i in range(4, 10))])
    found = Difference(before, window(10, {EDGE: call()}, alive=both))
    assert notices([found]) == ["No istio, traces in A 12:00–12:04."]


def test_numbers_of_different_witnesses_are_not_compared():
    mesh = call(by=(MESH, TRACES))
    before = window(0, {EDGE: mesh}, alive=((MESH, 1.0), (TRACES, 1.0)))
    found = row(before, window(10, {EDGE: call(failed=72.0)}))
    assert (found.why, said(found)) == (Why.OTHER_WITNESS, "measured by istio in A, by traces in B")


def test_sampled_requests_count_only_as_often_as_they_were_looked_at():
    sampled = ((TRACES, 0.001),)
    found = row(
        window(0, {EDGE: call(requests=600.0)}, alive=sampled),
        window(10, {EDGE: call(requests=600.0, failed=72.0)}, alive=sampled),
    )
    assert found.why == Why.TOO_FEW


def test_a_thin_edge_that_falls_silent_proves_nothing():
    thin, silent = call(requests=0.3), call(requests=0.0)
    assert row(window(0, {EDGE: thin}), window(10, {EDGE: silent})).why == Why.TOO_FEW


def test_what_moves_in_both_windows_anyway_is_no_difference():
    def restless(first, shares):
        return kept([minute(first + i, {EDGE: call(failed=600 * share)}) for i, share in enumerate(shares)])

    before = restless(0, [0, 0.3, 0, 0.3, 0, 0.3, 0, 0.3, 0, 0.3])
    after = restless(10, [0.4, 0, 0.4, 0, 0.4, 0, 0.4, 0, 0.4, 0.1])
    assert row(before, after).mark is Mark.SAME
    assert row(window(0, {EDGE: call()}), after).mark is Mark.WORSE


def test_a_change_within_the_window_is_not_its_spread():
    late = [minute(10 + i, {EDGE: call(failed=150.0 if i >= 7 else 0.0)}) for i in range(10)]
    assert row(window(0, {EDGE: call()}), kept(late)).mark is Mark.WORSE


def test_the_deepest_change_comes_first():
    before = {EDGE: call(), DEEPER: call()}
    after = {EDGE: call(failed=150.0), DEEPER: call(failed=150.0)}
    rows, total = Difference(window(0, before), window(10, after)).rows([Mark.WORSE], 10)
    assert [one.id for one in rows] == [DEEPER, EDGE]
    assert [one.begins for one in rows] == [True, False]
    assert total == 2


def test_versions_that_changed_are_told_on_the_row_with_their_moment():
    frames = [minute(10 + i, {EDGE: call()}, versions="v42" if i < 3 else "v43") for i in range(10)]
    found = Difference(window(0, {EDGE: call()}, versions="v42"), kept(frames))
    assert found.row(EDGE).versions == ("v42", "v43")
    assert found.versions[0].since == NOON + 13 * MINUTE
    assert "Other versions: payment v42 → v43 since 12:13" in answer([found])


def test_services_that_got_worse_are_named_with_their_values_where_no_connection_differs():
    found = Difference(
        window(0, {EDGE: call()}, node=call()), window(10, {EDGE: call()}, node=call(failed=60.0))
    )
    told = "1 service got worse: payment (errors 0 % → 10 %). No connection is new, gone or clearly different"
    assert answer([found]) == f"{told} (1 compared)."


def test_connections_that_changed_come_before_the_services():
    bad = call(failed=60.0)
    found = Difference(window(0, {EDGE: call()}, node=call()), window(10, {EDGE: bad}, node=bad))
    assert answer([found]) == (
        "1 connection got worse, first of all order → payment (errors 0 % → 10 %). 1 service got worse: payment."
    )


def test_frames_that_did_not_keep_who_saw_what_are_compared_but_never_gone():
    def older(first, edges):
        frames = (
            replace(minute(first + i, edges), edge_seen=np.zeros(0, np.uint16), witnesses={})
            for i in range(5)
        )
        return kept(list(frames))

    assert row(older(0, {EDGE: call()}), older(5, {EDGE: call(failed=90.0)})).mark is Mark.WORSE
    assert row(older(0, {EDGE: call()}), older(5, {})).mark is Mark.INCOMPARABLE


def test_the_spread_leaves_the_largest_step_out_and_needs_four_values():
    nan = np.nan
    values = np.array([[1.0, 1.0, 5.0, 5.0, 5.0], [1.0, 2.0, 1.0, 2.0, 1.0], [1.0, nan, 2.0, nan, 3.0]])
    assert spread(values)[:2].tolist() == [0.0, 1.0]
    assert np.isnan(spread(values)[2])


CALLS = st.builds(
    call,
    requests=st.sampled_from([0.0, 0.5, 3.0, 60.0, 600.0, float("nan")]),
    failed=st.sampled_from([0.0, 0.1, 0.5]),
    seconds=st.sampled_from([0.01, 0.1, 0.5, 3.0]),
    by=st.sampled_from([(TRACES,), (MESH,), (MESH, TRACES)]),
)
IDS = [f"demo:shop:{a}>demo:shop:{b}>http" for a, b in ("ab", "bc", "cd", "ac")]
WINDOWS = st.lists(st.dictionaries(st.sampled_from(IDS), CALLS), min_size=1, max_size=6)
ALIVE = st.sampled_from([(), ((TRACES, 1.0),), ((MESH, 1.0),), ((TRACES, 0.2), (MESH, 1.0))])


def drawn(first, minutes, alive):
    return kept([minute(first + i, edges, alive=alive) for i, edges in enumerate(minutes)])


@given(WINDOWS, ALIVE)
@settings(max_examples=25, deadline=None)
def test_a_window_differs_in_nothing_from_itself(minutes, alive):
    one = drawn(0, minutes, alive)
    counts = Difference(one, one).edge_counts
    assert {mark for mark in Mark if counts[mark]} <= {Mark.SAME, Mark.INCOMPARABLE}


MIRRORED = {Mark.NEW: Mark.GONE, Mark.GONE: Mark.NEW}
TURNED = {Mark.WORSE: Mark.BETTER, Mark.BETTER: Mark.WORSE}


@given(WINDOWS, WINDOWS, ALIVE, ALIVE)
@settings(max_examples=50, deadline=None)
def test_swapping_the_windows_mirrors_every_class(first, second, alive_a, alive_b):
    a, b = drawn(0, first, alive_a), drawn(10, second, alive_b)
    there, back = Difference(a, b), Difference(b, a)
    for key in IDS:
        one, other = there.row(key), back.row(key)
        assert (one is None) == (other is None)
        if one is None:
            continue
        assert (one.errors, one.latency, one.volume) == (-other.errors, -other.latency, -other.volume)
        if one.errors * one.latency < 0:
            assert one.mark is other.mark is Mark.WORSE
        else:
            assert other.mark is MIRRORED.get(one.mark, TURNED.get(one.mark, one.mark))
