"""Entity tags and encodings."""

from __future__ import annotations

import gzip

import pytest
import zstandard
from flask import Flask

from app.web import etag
from app.web.etag import Bytes, chosen_encoding

BODY = b'{"a":1}' * 500


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("zstd, gzip, br", "zstd"),
        ("gzip, deflate", "gzip"),
        ("GZIP;q=0.5", "gzip"),
        ("zstd;q=0, gzip", "gzip"),
        ("br", "identity"),
        ("", "identity"),
        ("gzip;q=nonsense", "identity"),
    ],
)
def test_the_best_accepted_encoding_is_chosen(header, chosen):
    assert chosen_encoding(header, len(BODY)) == chosen


def test_small_bodies_are_not_compressed():
    assert chosen_encoding("zstd", 100) == "identity"


def test_each_encoding_is_the_same_content_under_its_own_strong_tag():
    document = Bytes(BODY)
    assert gzip.decompress(document.encoded("gzip")) == BODY
    assert zstandard.ZstdDecompressor().decompress(document.encoded("zstd")) == BODY
    tags = {document.etag(name) for name in ("identity", "gzip", "zstd")}
    assert len(tags) == 3
    assert all(tag.startswith('"') for tag in tags)


def test_the_same_body_has_the_same_tag_in_every_process():
    assert Bytes(BODY).etag("gzip") == Bytes(BODY).etag("gzip")
    assert Bytes(BODY).encoded("gzip") == Bytes(BODY).encoded("gzip")


@pytest.mark.parametrize("sent", ["{tag}", "W/{tag}", '"other", {tag}', "*"])
def test_what_the_caller_holds_is_not_sent_again(sent):
    document = Bytes(BODY)
    headers = {"If-None-Match": sent.format(tag=document.etag("identity"))}
    with Flask("x").test_request_context(headers=headers):
        answer = etag.serve(document)
    assert (answer.status_code, answer.get_data()) == (304, b"")
    assert answer.headers["ETag"] == document.etag("identity")


@pytest.mark.parametrize("sent", ['"other"', "", "nonsense"])
def test_anything_else_is_sent(sent):
    with Flask("x").test_request_context(headers={"If-None-Match": sent}):
        answer = etag.serve(Bytes(BODY))
    assert (answer.status_code, answer.get_data()) == (200, BODY)
    assert answer.headers["Vary"] == "Accept-Encoding, Cookie, Authorization"
