"""How fast verified records go into the ledger on PostgreSQL: against SQLAlchemy's executemany, row by row, and as a repeat.

The sink: every statement that the clerk runs for new records, from locking their chains to writing what is held of them, and the
commit. The peers write the same rows into the same table with one INSERT ... ON CONFLICT DO NOTHING, by executemany in one
transaction, or with a commit for each row; they lock no chain, do not ask whether a key is revoked, and do not write what is
held. What the table's own constraints, its indexes and the disk take is the same for all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from sqlalchemy.dialects.postgresql import insert

from sync_agent.contract import topics
from sync_agent.fleet import authority
from sync_agent.ingest import seen, sink
from sync_agent.ingest.answers import Office
from sync_agent.ingest.check import Entry
from sync_agent.ingest.clerk import Checked, Clerk
from sync_agent.ingest.inbox import Letter
from sync_agent.ingest.sink import Staged
from sync_agent.ingest.verifiers import Verifiers
from sync_agent.registry.database import Database
from sync_agent.registry.tables import RecordRow
from system.simulate.fleet_roll import TENANT
from tests.bench.result import Result
from tests.bench.stand import Letters, Stand

KIOSKS: Final = 50
EACH: Final = 100
BATCH: Final = 500
SINGLE: Final = 500
"""Rows of the slow peer: it commits each."""
ROUNDS: Final = 5

_Write = Callable[[Database, list[Staged]], None]


@dataclass(frozen=True, slots=True)
class _Way:
    """A way into the ledger: rows a second, round by round."""

    name: str
    run: Callable[[Database, Clerk, Sequence[Checked]], None]
    rows: int


def benchmarks() -> Iterator[Result]:
    """Yield the rates and their ratios; in every round each way fills an empty registry."""
    ways = (
        _Way("the sink", lambda database, _clerk, checked: _by(_sink, database, checked), KIOSKS * EACH),
        _Way("executemany", lambda database, _clerk, checked: _by(_executemany, database, checked), KIOSKS * EACH),
        _Way("a commit a row", lambda database, _clerk, checked: _by(_executemany, database, checked, 1), SINGLE),
        _Way("all of a batch's transaction", lambda _database, clerk, checked: _hold(clerk, checked), KIOSKS * EACH),
    )
    rates: dict[str, list[float]] = {way.name: [] for way in ways}
    fresh, repeated = [], []
    with tempfile.TemporaryDirectory(prefix="renzheng-") as folder, Stand(Path(folder), KIOSKS) as stand:
        now = datetime.now(UTC)
        letters = [
            Letter(1, 1, 1, topics.up(TENANT, member.device, topics.Up.RECORD), message, now)
            for member, message in Letters(stand.members, EACH).messages()
        ]
        for _ in range(ROUNDS):
            for way in ways:
                with _registry(stand) as (database, clerk):
                    checked = clerk.check(letters)[: way.rows]
                    rates[way.name].append(way.rows / _seconds(lambda: way.run(database, clerk, checked)))  # noqa: B023 # at once
            with _registry(stand) as (_, clerk):
                fresh.append(len(letters) / _seconds(lambda: _take(clerk, letters)))  # run at once
                repeated.append(len(letters) / _seconds(lambda: _take(clerk, letters)))  # run at once
    for name, found in rates.items():
        yield Result.of(f"sink: {name}, rows a second", found, "/s")
    own = rates["the sink"]
    many = "SQLAlchemy Core executemany, ON CONFLICT DO NOTHING, 500 a transaction"
    yield Result.of("sink: to executemany", _ratios(own, rates["executemany"]), "x", goal=">=1.8", peer=many)
    yield Result.of(
        "sink: to a commit a row", _ratios(own, rates["a commit a row"]), "x", goal=">=12", peer="the same, row by row"
    )
    yield Result.of(
        "sink: a repeated batch to a fresh one", _ratios(repeated, fresh), "x", goal=">=0.8", peer="verified and held anew"
    )


@contextmanager
def _registry(stand: Stand) -> Iterator[tuple[Database, Clerk]]:
    """Open a new registry and a clerk on it who holds every shard."""
    own = authority.load(stand.keys)
    office = Office(TENANT, lambda: own.receipt_key, lambda: datetime.now(UTC))
    with stand.database(stand.registry()) as database:
        yield database, Clerk(database, office, Verifiers(0), lambda _session, _shards: None)


def _by(
    write: Callable[[Database, list[Staged]], None], database: Database, checked: Sequence[Checked], size: int = BATCH
) -> None:
    staged = [Staged(one.what, one.letter.received_at) for one in checked if isinstance(one.what, Entry)]
    for start in range(0, len(staged), size):
        write(database, staged[start : start + size])


def _sink(database: Database, batch: list[Staged]) -> None:
    now = datetime.now(UTC)
    came: dict[seen.Chain, dict[int, Entry]] = {}
    for one in batch:
        came.setdefault((one.entry.device, one.entry.epoch), {})[one.entry.seq] = one.entry
    with database.write() as session:
        before = sink.lock_seen(session, came.keys(), now)
        sink.revoked(session, {one.entry.kid for one in batch})
        sink.enter(session, batch)
        sink.write_seen(session, {chain: before[chain].with_more(some, now) for chain, some in came.items()}, now)


def _executemany(database: Database, batch: list[Staged]) -> None:
    with database.write() as session:
        session.connection().execute(insert(RecordRow.__table__).on_conflict_do_nothing(), [_values(one) for one in batch])  # type: ignore[arg-type] # a mapped class's table is typed wider than insert wants


def _hold(clerk: Clerk, checked: Sequence[Checked]) -> None:
    for start in range(0, len(checked), BATCH):
        clerk.hold(checked[start : start + BATCH])


def _take(clerk: Clerk, letters: Sequence[Letter]) -> None:
    for start in range(0, len(letters), BATCH):
        clerk.take(letters[start : start + BATCH])


def _values(staged: Staged) -> dict[str, Any]:
    entry = staged.entry
    return {
        "id": entry.id,
        "device_id": entry.device,
        "shard": topics.shard(entry.device),
        "epoch": entry.epoch,
        "seq": entry.seq,
        "digest": entry.digest,
        "prev": entry.prev,
        "boot": entry.boot,
        "kind": entry.kind,
        "time": entry.time,
        "clock_age_s": entry.clock_age_s,
        "received_at": staged.received_at,
        "kid": entry.kid,
        "message": entry.message,
        "site_id": entry.site,
        "tries": 0,
    }


def _seconds(work: Callable[[], None]) -> float:
    begun = perf_counter()
    work()
    return perf_counter() - begun


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [own / their for own, their in zip(ours, theirs, strict=True)]
