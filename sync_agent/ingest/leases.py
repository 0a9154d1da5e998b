"""Leases: which of the 64 shards this sync agent holds, agreed with the others through the database alone.

Each agent renews its leases and takes its fair share of those that are free or have run out; all times are the database's own.
Every taking raises the shard's fence number. A transaction that writes for a shard first compares that number (`Leases.fence`):
an agent that slept through the end of its lease writes nothing. On PostgreSQL a comparison holds off a taking until its
transaction has ended, but no renewal: key-share locks let updates pass that leave the key alone. SQLite has one writer at a time.
Whoever takes what ran out first ends its holder's connections: frozen in such a transaction it would hold off a taking for ever.
"""

from __future__ import annotations

import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from sync_agent.contract.topics import SHARDS
from sync_agent.fleet.agents import TTL
from sync_agent.registry.database import Database, clock, end_connections
from sync_agent.registry.tables import LiveAgent, Shard

log = structlog.get_logger(__name__)


RENEW_S: Final = 3.0
LOOK_S: Final = 1.0
"""How often an agent looks whether there is something to take or to give, seconds."""

FORGET: Final = timedelta(days=1)
"""An agent that was killed is forgotten after so long."""


class LostShard(Exception):
    """Shards that this agent held are held by another now, or by nobody; what was received for them is theirs to write.

    Attributes:
        shards: their numbers.
    """

    code = "ING-01"

    def __init__(self, shards: Iterable[int]) -> None:
        self.shards = frozenset(shards)
        super().__init__(f"shards {sorted(self.shards)} are no longer held here. Nothing is to be done: their holder goes on.")


Fence = Callable[[Session, Iterable[int]], None]
"""Raises `LostShard` in a transaction that is about to write for shards that are not held; see `fence`."""

Holding = Callable[[Session], frozenset[int]]
"""Tells which shards are held; see `held`."""


def held(session: Session, agent: str) -> frozenset[int]:
    """Return the shards that an agent holds by what the database says: for a process beside the one that has the leases."""
    return frozenset(session.scalars(select(Shard.number).where(Shard.owner == agent)))


def fence(session: Session, agent: str, shards: Iterable[int], known: Mapping[int, int] | None = None) -> None:
    """Make sure, within a transaction that writes for `shards`, that an agent holds them until it ends.

    Args:
        session: the transaction.
        agent: its name.
        shards: their numbers.
        known: the fence numbers under which what is to be written was received; absent where all of it is read in this
            transaction, so that no other holder in between can matter.

    Raises:
        LostShard: some are not; names those.
    """
    asked = frozenset(shards)
    rows = session.execute(
        select(Shard.number, Shard.fence, Shard.owner).where(Shard.number.in_(asked)).with_for_update(read=True, key_share=True)
    )
    good = {row.number for row in rows if row.owner == agent and (known is None or row.fence == known.get(row.number))}
    if lost := asked - good:
        raise LostShard(lost)


def new_agent_id() -> str:
    """Return a name for this process that no other has: host, process id, something random; at most 63 characters."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(4)}"


def fair_share(agents: Sequence[str], own: str) -> int:
    """Return how many shards `own` should hold when `agents` are alive: 64 among all, the odd ones to the first by name."""
    each, odd = divmod(SHARDS, len(agents))
    return each + (sorted(agents).index(own) < odd)


class Leases:
    """The shards of one agent process. `turn` is one look at the database; `start` takes turns in a thread of its own.

    Attributes:
        agent: its name among the agents.
    """

    def __init__(self, database: Database, agent: str, hold: Callable[[frozenset[int]], None]) -> None:
        """Prepare; nothing is held yet.

        Args:
            database: the registry.
            agent: as from `new_agent_id`.
            hold: told which shards are held whenever that changes; before a shard is given away it is told to do without.
        """
        self.agent = agent
        self._database = database
        self._hold = hold
        self._fences: dict[int, int] = {}
        self._telling = threading.RLock()
        self._sure_until = self._renew_at = 0.0
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def start(self) -> None:
        """Begin to take turns."""
        self._thread.start()

    def stop(self) -> None:
        """Give everything away, so that the others need not wait for the leases to run out."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout=10)
        try:
            self.leave()
        except (OperationalError, InterfaceError) as err:
            log.warning("leases.not-given-back", reason=type(err.orig).__name__, todo="none: they run out by themselves")

    def leave(self) -> None:
        """Give every shard away and be no agent any more.

        Raises:
            OperationalError, InterfaceError: the database is away or locked.
        """
        self._tell({})
        with self._database.write() as session:
            self._free(session, range(SHARDS))
            session.execute(delete(LiveAgent).where(LiveAgent.id == self.agent))

    @property
    def held(self) -> frozenset[int]:
        """The shards held, as far as this agent knows."""
        return frozenset(self._fences)

    @property
    def is_sure(self) -> bool:
        """Whether no other can have taken a shard held here: the last renewal has not run out, by a clock that never steps."""
        return time.monotonic() < self._sure_until

    def fence(self, session: Session, shards: Iterable[int]) -> None:
        """Make sure, within a transaction that writes for `shards`, that they are held here until it ends.

        Raises:
            LostShard: some are not; names those.
        """
        fence(session, self.agent, shards, self._fences)

    def lost(self, shards: frozenset[int]) -> None:
        """Take note that shards were lost, and look at once what is held."""
        self._do_without(shards)
        self._wake.set()

    def turn(self) -> None:
        """Look at the database; renew, give and take as is due.

        Raises:
            OperationalError, InterfaceError: the database is away or locked. What is held stays held until another takes it.
        """
        begun = time.monotonic()
        is_renewal = begun >= self._renew_at
        with self._database.read() as session:
            is_due = is_renewal or self._is_to_act(session)
        if not is_due:
            return
        with self._database.write() as session:
            now = clock(session)
            self._beat(session, now)
            renewed = self._renew(session, now)
            share = fair_share(_living(session, now), self.agent)
        self._sure_until, self._renew_at = begun + TTL.total_seconds(), begun + RENEW_S
        if gone := self.held - renewed.keys():
            log.warning("leases.lost", shards=sorted(gone))
        self._tell(renewed)
        if len(renewed) > share:
            self._give(sorted(renewed)[share:])
        elif len(renewed) < share:
            self._take(share - len(renewed))

    def _run(self) -> None:
        jitter = random.Random()
        while not self._stopping:
            try:
                self.turn()
            except (OperationalError, InterfaceError) as err:
                log.warning("leases.database-away", reason=type(err.orig).__name__, todo="see that the database runs")
            self._wake.wait(LOOK_S * jitter.uniform(0.8, 1.2))
            self._wake.clear()

    def _is_to_act(self, session: Session) -> bool:
        """Say whether shards are to be taken or given, without writing."""
        now = clock(session)
        living = _living(session, now)
        if self.agent not in living:
            return True
        spare, is_free = fair_share(living, self.agent) - len(self._fences), _is_free(now)
        return spare < 0 or (spare > 0 and session.scalars(select(Shard.number).where(is_free).limit(1)).first() is not None)

    def _beat(self, session: Session, now: datetime) -> None:
        known = session.get(LiveAgent, self.agent)
        if known is None:
            session.add(LiveAgent(id=self.agent, started_at=now, beat_at=now))
            session.execute(delete(LiveAgent).where(LiveAgent.beat_at < now - FORGET))
        else:
            known.beat_at = now
        session.flush()

    def _renew(self, session: Session, now: datetime) -> dict[int, int]:
        """Return what is still ours, with its fence numbers. A lease that ran out but was not taken is renewed, too."""
        mine = update(Shard).where(Shard.owner == self.agent).values(expires_at=now + TTL).returning(Shard.number, Shard.fence)
        return {number: fence for number, fence in session.execute(mine)}

    def _give(self, shards: Sequence[int]) -> None:
        self._do_without(shards)
        with self._database.write() as session:
            self._free(session, shards)
        log.info("leases.given", shards=shards, held=len(self._fences))

    def _take(self, most: int) -> None:
        """Take shards nobody holds. One that another agent is taking, or still writes for, is left for the next turn."""
        with self._database.write() as session:
            now = clock(session)
            self._end_silent(session, now)
            free = select(Shard).where(_is_free(now)).order_by(Shard.number).limit(most).with_for_update(skip_locked=True)
            rows = session.scalars(free).all()
            for row in rows:
                row.owner, row.fence, row.since, row.expires_at = self.agent, row.fence + 1, now, now + TTL
            taken = {row.number: row.fence for row in rows}
        if taken:
            self._tell(self._fences | taken)
            log.info("leases.taken", shards=sorted(taken), held=len(self._fences))

    def _end_silent(self, session: Session, now: datetime) -> None:
        """End the connections of agents whose leases ran out: frozen in a transaction they would keep their shards for ever.

        The lock, which what they write for a shard lets pass, holds off a renewal: who is ended is silent to this moment.
        """
        ran_out = select(Shard.owner).where(Shard.expires_at < now, Shard.owner != self.agent)
        owners = session.scalars(ran_out.with_for_update(key_share=True, skip_locked=True))
        if silent := {owner for owner in owners if owner is not None}:
            end_connections(session, silent)
            log.warning(
                "leases.silent", agents=sorted(silent), todo="none, their shards are taken over; see why they were silent"
            )

    def _free(self, session: Session, shards: Iterable[int]) -> None:
        mine = update(Shard).where(Shard.owner == self.agent, Shard.number.in_(list(shards)))
        session.execute(mine.values(owner=None, since=None, expires_at=None))

    def _do_without(self, shards: Iterable[int]) -> None:
        with self._telling:
            self._tell({number: self._fences[number] for number in self._fences.keys() - set(shards)})

    def _tell(self, fences: dict[int, int]) -> None:
        with self._telling:
            has_changed = fences.keys() != self._fences.keys()
            self._fences = fences
            if has_changed:
                self._hold(frozenset(fences))


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(Shard.owner.is_(None), Shard.expires_at < now)


def _living(session: Session, now: datetime) -> Sequence[str]:
    return session.scalars(select(LiveAgent.id).where(LiveAgent.beat_at > now - TTL)).all()
