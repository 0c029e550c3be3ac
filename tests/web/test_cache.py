"""The cache: one build per version, bounded, and no failure kept."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest

from app.web.cache import Cache


def test_a_value_is_built_once_per_version():
    cache, built = Cache(10), []
    for version in (1, 1, 2, 2):
        cache.get("a", lambda v=version: built.append(v) or v, version=version)
    assert built == [1, 2]
    assert cache.held == 1


def test_the_least_recently_used_goes_first():
    cache = Cache(2)
    for key in ("a", "b", "a", "c"):
        cache.get(key, lambda k=key: k)
    assert cache.peek("b") is None
    assert (cache.peek("a"), cache.peek("c")) == ("a", "c")


def test_size_bounds_the_sum():
    cache = Cache(100, size=len)
    for key in range(10):
        cache.get(key, lambda: b"x" * 30)
    assert cache.held <= 100


def test_one_value_larger_than_everything_is_still_served():
    cache = Cache(10, size=len)
    assert len(cache.get("a", lambda: b"x" * 50)) == 50


def test_a_failure_is_not_kept():
    cache = Cache(10)
    with pytest.raises(LookupError):
        cache.get("a", lambda: {}["absent"])
    assert cache.get("a", lambda: "there") == "there"


def test_who_asks_at_the_same_time_waits_for_one_build():
    cache, built, started, got = Cache(10), [], Barrier(2), []

    def build():
        built.append(1)
        started.wait(5)
        return "value"

    first = Thread(target=lambda: got.append(cache.get("a", build)))
    first.start()
    others = [Thread(target=lambda: got.append(cache.get("a", build))) for _ in range(4)]
    for one in others:
        one.start()
    started.wait(5)
    for one in (first, *others):
        one.join(5)
    assert (len(built), got) == (1, ["value"] * 5)
