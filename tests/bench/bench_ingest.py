"""How many records a second one sync agent takes from a durable queue into PostgreSQL, verified, against Node-RED."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

import psycopg

from tests.bench import node_red
from tests.bench.node_red import CannotPeer
from tests.bench.node_red import node_red as flow
from tests.bench.result import Result
from tests.bench.stand import Drain, Letters, Mail, Stand, plain

KIOSKS: Final = 50
WARM: Final = 2
"""Records of each kiosk that are taken before the measuring begins."""
EACH: Final = 100
"""Records of each kiosk in the queue."""
ROUNDS: Final = 3
PEER: Final = "a Node-RED flow: Ed25519 check, one INSERT a message, 10 connections"


def benchmarks() -> Iterator[Result]:
    """Yield the rates and their ratio."""
    with tempfile.TemporaryDirectory(prefix="renzheng-") as folder, Stand(Path(folder), KIOSKS) as stand:
        letters = Letters(stand.members, WARM + EACH)
        first, singly = letters.mail(1, WARM), letters.mail(WARM + 1, WARM + EACH)
        ours, theirs = [], []
        try:
            node_red.install()
        except CannotPeer as why:
            yield Result.missing("ingest: our rate to Node-RED's", "x", str(why), goal=">=3.5", peer=PEER)
        else:
            theirs = [_peer(stand, first, singly) for _ in range(ROUNDS)]
            ours = [_ours(stand, first, singly) for _ in range(ROUNDS)]
            middle = median(drain.rate for drain in theirs)
            yield Result.of("ingest: Node-RED, records a second", [drain.rate for drain in theirs], "/s")
            yield Result.of("ingest: one sync agent, records a second", [drain.rate for drain in ours], "/s")
            yield Result.of("ingest: our rate to Node-RED's", [d.rate / middle for d in ours], "x", goal=">=3.5", peer=PEER)


def _ours(stand: Stand, first: list[Mail], queued: list[Mail]) -> Drain:
    url = stand.registry()
    with stand.broker() as broker:
        return stand.drain(stand.agent(url, broker.port), "record", url, broker.port, first, queued)


def _peer(stand: Stand, first: list[Mail], queued: list[Mail]) -> Drain:
    url = stand.registry()
    with psycopg.connect(plain(url)) as connection:
        connection.execute(node_red.TABLE.encode())
    with stand.broker() as broker:
        taker = flow(stand.folder / "node-red", stand.files, broker.port, url, stand.members)
        return stand.drain(taker, "peer_record", url, broker.port, first, queued)
