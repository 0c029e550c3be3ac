from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from sqlalchemy import text

from app.clock import frozen_at
from app.errors import StoreError
from app.store import audit
from app.store.engine import Store
from tests.support.factories import NOON

KEY = b"k" * 32


def fill(store: Store, rows: int = 3) -> None:
    for i in range(rows):
        with store.begin() as session:
            audit.append(session, KEY, who="alice", what="scale", target="order", detail={"to": i})


def verified(store: Store, key: bytes = KEY, anchor=None) -> audit.Verified:
    with store.reading() as session:
        return audit.verify(session, key, anchor)


def tamper(store: Store, statement: str) -> None:
    """What somebody does who owns the database: first the guard goes, then the row changes."""
    with store.begin() as session:
        if store.dialect == "sqlite":
            for verb in ("UPDATE", "DELETE"):
                session.execute(text(f"DROP TRIGGER IF EXISTS audit_refuses_{verb}"))
        else:
            session.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
        session.execute(text(statement))


def test_the_canonical_bytes_never_change():
    raw = audit.canonical(
        7, NOON, "alice", "scale", "demo/shop/Deployment/ordér", "sent", '{"to":3}', "0" * 64
    )
    assert raw == (
        b'{"at":"2026-11-20T12:00:00.000000+00:00","detail":"{\\"to\\":3}","outcome":"sent","prev_hash":"'
        + b"0" * 64
        + b'","seq":7,"target":"demo/shop/Deployment/ord\\u00e9r","what":"scale","who":"alice"}'
    )
    assert audit.hash_of(raw) == "a7fdcd0c278c0a9d806d8d4d6393eb9ebd38ddc9e2c73a6d69d447bb024f5147"


def test_an_untouched_chain_holds(store: Store):
    fill(store)
    assert verified(store) == audit.Verified(3)
    with store.reading() as session:
        rows = audit.page(session)
    assert [row.seq for row in rows] == [3, 2, 1]
    assert rows[0].prev_hash == rows[1].hash
    assert rows[2].prev_hash == audit.GENESIS
    assert rows[0].detail == {"to": 2}


@pytest.mark.parametrize("statement", ["UPDATE audit SET who = 'bob'", "DELETE FROM audit"])
def test_the_database_refuses_to_change_or_remove_rows(store: Store, statement: str):
    fill(store)
    with pytest.raises(StoreError, match="never changed or removed"), store.begin() as session:
        session.execute(text(statement))
    assert verified(store).ok


def test_postgresql_refuses_to_truncate_as_well(store: Store):
    if store.dialect == "sqlite":
        return
    with pytest.raises(StoreError, match="never changed or removed"), store.begin() as session:
        session.execute(text("TRUNCATE audit"))


@pytest.mark.parametrize(
    ("statement", "row", "why"),
    [
        ("UPDATE audit SET who = 'bob' WHERE seq = 2", 2, "content was changed"),
        ("UPDATE audit SET detail = '{}' WHERE seq = 1", 1, "content was changed"),
        ("UPDATE audit SET hmac = hash WHERE seq = 3", 3, "another key"),
        ("DELETE FROM audit WHERE seq = 2", 2, "missing"),
        ("DELETE FROM audit WHERE seq = 1", 1, "missing"),
        ("DELETE FROM audit WHERE seq = 3", 3, "end of the chain"),
        ("DELETE FROM audit", 1, "end of the chain"),
    ],
)
def test_verify_names_the_first_broken_row(store: Store, statement: str, row: int, why: str):
    fill(store)
    tamper(store, statement)
    found = verified(store)
    assert found.broken == row
    assert why in found.why


def test_a_chain_made_again_with_another_key_does_not_pass(store: Store):
    fill(store)
    assert verified(store, b"other").broken == 1


def test_a_published_head_shows_a_chain_that_was_rewritten_with_the_right_key(store: Store):
    fill(store)
    with store.reading() as session:
        head = audit.head(session)
    assert verified(store, anchor=head).ok
    assert verified(store, anchor=(3, "f" * 64)).broken == 3
    assert verified(store, anchor=(5, "f" * 64)).broken == 4


def test_an_empty_chain_holds(store: Store):
    assert verified(store) == audit.Verified(0)
    with store.reading() as session:
        assert audit.head(session) == (0, audit.GENESIS)


def test_a_row_of_a_failed_transaction_leaves_no_hole(store: Store):
    fill(store, 1)

    def fail() -> None:
        with store.begin() as session:
            audit.append(session, KEY, who="alice", what="scale")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    fill(store, 1)
    assert verified(store) == audit.Verified(2)


def test_writers_at_the_same_time_make_one_chain(store: Store):
    threads = [threading.Thread(target=fill, args=(store, 5)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verified(store) == audit.Verified(20)


def test_hostile_text_is_kept_and_does_not_break_the_chain(store: Store):
    with store.begin() as session:
        row = audit.append(
            session,
            KEY,
            who="al\x00ice\ud800",
            what="<b>",
            target="\U0001f600" * 500,
            detail={"x": "\x00\ud800"},
        )
    assert "\x00" not in row.who
    assert verified(store).ok


def test_pages_continue_and_filter(store: Store):
    with store.begin() as session:
        for i in range(6):
            with frozen_at(NOON):
                audit.append(session, KEY, who="alice" if i % 2 else "bob", what="w", target=f"t{i % 3}")
    with store.reading() as session:
        first = audit.page(session, limit=4)
        rest = audit.page(session, limit=4, before=first[-1].seq)
        assert [row.seq for row in first + rest] == [6, 5, 4, 3, 2, 1]
        assert [row.seq for row in audit.page(session, who="alice")] == [6, 4, 2]
        assert [row.seq for row in audit.page(session, target="t0")] == [4, 1]
    assert replace(first[0], hash="") != first[0]
