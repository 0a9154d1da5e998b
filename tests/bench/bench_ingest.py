"""How many records a second one sync agent takes from a durable queue into PostgreSQL, verified, against Node-RED.

Taken is: its signature checked, committed in the ledger. What the rules say of it comes after, in a process beside it and the
same seconds, and is counted for itself. The peer's flow does not judge, open or answer anything.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import psycopg

from sync_agent.contract import envelope
from tests.bench import node_red
from tests.bench.node_red import CannotPeer
from tests.bench.result import Result
from tests.bench.stand import Drain, Letters, Mail, Stand, plain

KIOSKS: Final = 50
WARM: Final = 2
"""Records of each kiosk that are taken before the measuring begins."""
EACH: Final = 200
"""Records of each kiosk in the queue."""
ROUNDS: Final = 3
FLOW: Final = "a Node-RED flow: Ed25519 check, one INSERT a message, 10 connections"
JUDGED: Final = "(SELECT 1 FROM record WHERE standing IS NOT NULL) AS judged"


def benchmarks() -> Iterator[Result]:
    """Yield the rates and their ratios; the contenders take turns, so that a slow minute of the machine hits all."""
    with tempfile.TemporaryDirectory(prefix="renzheng-") as folder, Stand(Path(folder), KIOSKS) as stand:
        letters = Letters(stand.members, WARM + EACH)
        first, singly = letters.mail(1, WARM), letters.mail(WARM + 1, WARM + EACH)
        packed = letters.mail(WARM + 1, WARM + EACH, batch=20)
        absent = _absent()
        theirs: list[Drain] = []
        ours, batched, judged, pairs = [], [], [], []
        for _ in range(ROUNDS):
            if not absent:
                theirs.append(_peer(stand, first, singly))
            ours.append(_ours(stand, "record", first, singly))
            batched.append(_ours(stand, "record", first, packed))
            judged.append(_ours(stand, JUDGED, first, singly))
            pairs.append(_ours(stand, "record", first, singly, agents=2))
        checks = [_check_us(singly) for _ in range(ROUNDS)]
    yield Result.of("ingest: one sync agent, records a second", [d.rate for d in ours], "/s")
    if absent:
        yield Result.missing("ingest: our rate to Node-RED's", "x", absent, goal=">=3.5", peer=FLOW)
    else:
        yield Result.of("ingest: Node-RED, records a second", [d.rate for d in theirs], "/s")
        yield Result.of("ingest: our rate to Node-RED's", _ratios(ours, theirs), "x", goal=">=3.5", peer=FLOW)
        yield Result.of("ingest: Node-RED's processor time a record", [d.cpu_us for d in theirs], "us")
    yield Result.of("ingest: our processor time a record", [d.cpu_us for d in ours], "us")
    yield Result.of("ingest: the bare check of a record", checks, "us")
    bare = [d.cpu_us / median(checks) for d in ours]
    yield Result.of("ingest: our processor time to the bare check's", bare, "x", goal="<=1.7", peer="a loop of envelope.unwrap")
    yield Result.of("ingest: 20 a message, records a second", [d.rate for d in batched], "/s")
    yield Result.of("ingest: 20 a message to singly", _ratios(batched, ours), "x", goal=">=4", peer="the same at 1 a message")
    yield Result.of("ingest: judged, records a second", [d.rate for d in judged], "/s")
    yield Result.of("ingest: two agents to one", _ratios(pairs, ours), "x", peer="one agent on the same 2 cores")


def _absent() -> str:
    """Install the peer; return why it cannot be had, or nothing."""
    try:
        node_red.install()
    except CannotPeer as why:
        return str(why)
    return ""


def _ours(stand: Stand, table: str, first: list[Mail], queued: list[Mail], *, agents: int = 1) -> Drain:
    url = stand.registry()
    with stand.broker() as broker:
        return stand.drain([stand.agent(url, broker.port) for _ in range(agents)], table, url, broker.port, first, queued)


def _peer(stand: Stand, first: list[Mail], queued: list[Mail]) -> Drain:
    url = stand.registry()
    with psycopg.connect(plain(url)) as connection:
        connection.execute(node_red.TABLE.encode())
    with stand.broker() as broker:
        taker = node_red.flow(stand.folder / "node-red", stand.keys / "ca.crt", stand.observer, broker.port, url, stand.members)
        return stand.drain([taker], "peer_record", url, broker.port, first, queued)


def _check_us(mails: Sequence[Mail]) -> float:
    """Return the processor time of nothing but the check of each record's signature, microseconds."""
    begun = time.process_time()
    for mail in mails:
        for message in mail.messages:
            envelope.unwrap(message, mail.member.signing_key)
    return 1e6 * (time.process_time() - begun) / sum(mail.records for mail in mails)


def _ratios(ours: Sequence[Drain], theirs: Sequence[Drain]) -> list[float]:
    """Return the ratio of the rates round by round."""
    return [own.rate / their.rate for own, their in zip(ours, theirs, strict=True)]
