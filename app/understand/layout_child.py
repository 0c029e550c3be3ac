"""The process that computes layouts: reads jobs from standard input, writes places to standard output.

Frames are a 4-byte big-endian length and MessagePack: in `[count, [[a, b], …], transpose, ranks]`, out
`[[x, y], …]`. It ends when its input does. Whoever started it kills it when an answer is late.
"""

from __future__ import annotations

import sys
from typing import BinaryIO

import msgspec

from app.understand.layout import compute

_LENGTH = 4


class Job(msgspec.Struct, array_like=True):
    """A cleaned edge list over nodes 0..count-1."""

    count: int
    edges: list[tuple[int, int]]
    transpose: bool = True
    ranks: bool = True


def write_frame(stream: BinaryIO, body: bytes) -> None:
    """Send one frame."""
    stream.write(len(body).to_bytes(_LENGTH, "big") + body)
    stream.flush()


def main() -> None:
    """Answer jobs until the input ends."""
    decoder = msgspec.msgpack.Decoder(Job)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(_LENGTH)) == _LENGTH:
        job = decoder.decode(source.read(int.from_bytes(head, "big")))
        places = compute(job.count, job.edges, transpose=job.transpose, ranks=job.ranks)
        write_frame(sink, msgspec.msgpack.encode(places))


if __name__ == "__main__":
    main()
