"""The clerk: holds what devices sign. A batch of messages goes into the ledger in one transaction, and the receipts are written.

The key is (device, epoch, sequence) with the digest of the signed bytes. The same key with the same digest is a harmless repeat;
with another digest it is evidence of a cloned or rolled-back device: the first copy stays, the second is quarantined. What cannot
become a record never blocks the others. What the rules make of a record is the judge's business, afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError, InterfaceError, InternalError, OperationalError
from sqlalchemy.orm import Session

from sync_agent.contract.codes import Fault
from sync_agent.contract.receipts import Rejection
from sync_agent.contract.status import Birth
from sync_agent.contract.topics import DeviceId, Heard, Up, shard
from sync_agent.fleet import alarms, presence
from sync_agent.ingest import check, reconcile, seen, sink
from sync_agent.ingest.answers import Answers, Office, Post, ruling
from sync_agent.ingest.check import Bad, Claim, Entry
from sync_agent.ingest.inbox import Letter
from sync_agent.ingest.keyring import Keyring
from sync_agent.ingest.leases import Fence
from sync_agent.ingest.quarantine import Quarantined
from sync_agent.ingest.seen import Break, Chain, Key, Seen
from sync_agent.ingest.sink import Staged
from sync_agent.ingest.verifiers import Verifiers
from sync_agent.registry.database import Database
from sync_agent.registry.tables import AlarmKind, ClockDoubt

log = structlog.get_logger(__name__)

PASSING: Final = (OperationalError, InterfaceError, InternalError)
"""The database is away, locked, full or read-only: nothing is wrong with what it was given, and it is given again."""

AHEAD: Final = timedelta(minutes=5)
"""A clock may be so far ahead of the centre's, or behind the enrolment, without a doubt."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that came: a record, what cannot be one, or what a device says of itself.

    Attributes:
        letter: the message that it came in.
        what: the record; why there is none; or, for a word of the device, where it came from.
        enrolled_at: since when the device of a record is known.
    """

    letter: Letter
    what: Entry | Bad | Heard
    enrolled_at: datetime | None = None


class Poisoned(Exception):
    """The database refuses a batch for what is in it, or this program fails at it: one of it is to blame, not the database."""


class Clerk:
    """Holds batches; may be used from several threads. Several clerks on one database are safe, the key is the ledger's."""

    def __init__(self, database: Database, office: Office, verifiers: Verifiers, fence: Fence) -> None:
        """Make a clerk.

        Args:
            database: the registry.
            office: who answers.
            verifiers: check the signatures.
            fence: raises `LostShard` in a transaction for shards that are another agent's.
        """
        self._database = database
        self._office = office
        self._verifiers = verifiers
        self._fence = fence
        self._keyring = Keyring(database)

    def take(self, letters: Sequence[Letter]) -> list[Post]:
        """Hold a batch; when this returns it is committed and may be acknowledged, and then the posts may be said.

        Raises:
            OperationalError, InterfaceError, InternalError: the database is away, locked or read-only. Try the batch again: what
                was held of it before is a harmless repeat.
            LostShard: a shard of the batch is not held here any more; nothing was written.
        """
        return self.hold(self.check(letters))

    def check(self, letters: Sequence[Letter]) -> list[Checked]:
        """Verify a batch, outside of any lock. Reads keys that were never seen before, writes nothing.

        Raises:
            OperationalError, InterfaceError: as `take`.
        """
        checked: list[Checked] = []
        named: list[tuple[Letter, Heard, str]] = []
        for letter in letters:
            heard = check.place(letter.topic, self._office.tenant)
            if isinstance(heard, Bad) or heard.what is not Up.RECORD:
                checked.append(Checked(letter, heard))
                continue
            kid = check.named_key(letter.payload, heard.device)
            if isinstance(kid, Bad):
                checked.append(Checked(letter, kid))
            else:
                named.append((letter, heard, kid))
        keys = self._keyring.find(kid for _, _, kid in named)
        claims: list[tuple[Letter, Claim]] = []
        for letter, heard, kid in named:
            claim = check.claim(letter.payload, heard, kid, keys)
            if isinstance(claim, Bad):
                checked.append(Checked(letter, claim))
            else:
                claims.append((letter, claim))
        verified = self._verifiers.verify([claim for _, claim in claims])
        for (letter, claim), found in zip(claims, verified, strict=True):
            checked += [Checked(letter, one, keys[claim.kid].enrolled_at) for one in found]
        return checked

    def hold(self, checked: Sequence[Checked]) -> list[Post]:
        """Put a verified batch into the ledger, all or nothing; what cannot be stored for its own sake is set aside.

        Raises:
            OperationalError, InterfaceError, InternalError, LostShard: as `take`.
        """
        try:
            return self._commit(checked)
        except Poisoned as poisoned:
            if isinstance(poisoned.__cause__, IntegrityError):
                return self._hold_warily(checked)
            return self._hold_apart(checked, poisoned)

    def _hold_warily(self, checked: Sequence[Checked]) -> list[Post]:
        try:
            return self._commit(checked, is_wary=True)
        except Poisoned as poisoned:
            return self._hold_apart(checked, poisoned)

    def _hold_apart(self, checked: Sequence[Checked], poisoned: Poisoned) -> list[Post]:
        if len(checked) > 1:
            middle = len(checked) // 2
            return self.hold(checked[:middle]) + self.hold(checked[middle:])
        cause = type(poisoned.__cause__).__name__
        log.error("record.set-aside", failure=cause, exc_info=poisoned.__cause__)
        # The bytes are kept and the device is told nothing, so that it sends again: a repaired program takes them in.
        return self._commit([Checked(checked[0].letter, Bad(None, Fault.INTERNAL, cause))])

    def _commit(self, checked: Sequence[Checked], *, is_wary: bool = False) -> list[Post]:
        with self._database.write() as session:
            self._fence(session, _shards(checked))
            try:
                return _Batch(session, self._office, self._office.now(), is_wary).write(checked)
            except PASSING:
                raise
            except Exception as failure:
                raise Poisoned from failure


class _Batch:
    """One transaction of the clerk.

    A record above all that is held of its chain is taken to be new, as nearly every one is. Should its id be held at another
    place, the ledger refuses the whole batch; then it is written once more, warily: of every record it is asked what is known.
    """

    def __init__(self, session: Session, office: Office, now: datetime, is_wary: bool) -> None:
        self._session = session
        self._office = office
        self._now = now
        self._is_wary = is_wary
        self._answers = Answers()
        self._alarms = alarms.Gathered()
        self._quarantined = Quarantined()
        self._seen: dict[Chain, Seen] = {}

    def write(self, checked: Sequence[Checked]) -> list[Post]:
        """Write everything and return what is to be said of it."""
        words = [(one.letter, one.what) for one in checked if isinstance(one.what, Heard)]
        births = [birth for letter, heard in words if (birth := self._take_word(letter, heard)) is not None]
        self._doubt(births)
        self._take_records([one for one in checked if isinstance(one.what, Entry)])
        for one in checked:
            if isinstance(one.what, Bad):
                self._quarantine(one.letter, one.what)
        for device, said in births:
            self._answers.about(device, said.epoch).reconciles = (said.nonce, said.last_seq)
            self._look_for_losses(device, said.epoch)
        self._quarantined.write(self._session, self._alarms)
        self._alarms.sound(self._session, self._now)
        self._seen |= reconcile.seen(self._session, set(self._answers.chains) - self._seen.keys())
        return list(self._answers.posts(self._seen, self._office))

    def _take_records(self, records: Sequence[Checked]) -> None:
        if not records:
            return
        first: dict[Key, Checked] = {}
        for one in records:
            first.setdefault(_entry(one).key, one)
        staged = {key: Staged(_entry(one), one.letter.received_at, self._clock(one)) for key, one in first.items()}
        before = sink.lock_seen(self._session, {key[:2] for key in staged}, self._now)
        second = _second_uses(staged.values())
        above = self._above(staged, before, second)
        asked = self._ask({key: one for key, one in staged.items() if key not in above}, second)
        fresh = above | {key: staged[key].entry for key in asked.fresh}
        sink.enter(self._session, (staged[key] for key in fresh))
        for one in records:
            entry = _entry(one)
            key = entry.key
            if key in asked.shut_out:
                self._refuse_revoked(one, asked.shut_out[key])
            elif key in asked.elsewhere:
                self._refuse_second(one, "its id is held at another place")
            elif entry.digest != (asked.held[key].digest if key in asked.held else staged[key].entry.digest):
                self._refuse_second(one, "its place is held with other bytes")
            else:
                answer = self._answers.about(entry.device, entry.epoch)
                if key in asked.held and asked.held[key].standing is not None:
                    answer.rulings[entry.seq] = ruling(asked.held[key])
        self._mark_seen(before, fresh)
        self._warn_of_breaks([*seen.breaks(before, above), *asked.breaks(self._session)])
        log.info("records.held", fresh=len(fresh), repeats=len(records) - len(fresh), chains=len(before))

    def _above(self, staged: Mapping[Key, Staged], before: Mapping[Chain, Seen], second: set[Key]) -> dict[Key, Entry]:
        """Return the records that are above all that is held of their chains and of which nothing else need be asked."""
        if self._is_wary:
            return {}
        revoked = sink.revoked(self._session, {one.entry.kid for one in staged.values()})
        upto = {chain: held.upto for chain, held in before.items()}
        above = {}
        for key, one in staged.items():
            entry = one.entry
            is_shut_out = entry.kid in revoked and revoked[entry.kid] <= one.received_at
            if entry.seq > upto[entry.device, entry.epoch] and not is_shut_out and key not in second:
                above[key] = entry
        return above

    def _ask(self, staged: Mapping[Key, Staged], second: set[Key]) -> _Asked:
        """Ask the ledger what it knows of records."""
        if not staged:
            return _Asked()
        sink.stage(self._session, staged.values())
        shut_out = sink.shut_out(self._session)
        held = sink.held(self._session)
        elsewhere = sink.held_elsewhere(self._session) | second
        return _Asked(held, shut_out, elsewhere, staged.keys() - held.keys() - shut_out.keys() - elsewhere)

    def _mark_seen(self, before: dict[Chain, Seen], fresh: Mapping[Key, Entry]) -> None:
        came: dict[Chain, dict[int, Entry]] = {}
        for (device, epoch, seq), entry in fresh.items():
            came.setdefault((device, epoch), {})[seq] = entry
        after = {chain: before[chain].with_more(records, self._now) for chain, records in came.items()}
        sink.write_seen(self._session, after, self._now)
        self._seen |= before | after

    def _warn_of_breaks(self, found: Iterable[Break]) -> None:
        backwards = []
        for one in found:
            device, epoch, seq = one.key
            if one.is_chain:
                self._alarms.add(AlarmKind.BROKEN_CHAIN, DeviceId(device), epoch, f"record {seq} does not name the one before it")
            if one.is_clock:
                backwards.append(one.key)
                self._alarms.add(AlarmKind.CLOCK, DeviceId(device), ClockDoubt.BACKWARDS, f"record {seq} of epoch {epoch}")
        sink.mark_backwards(self._session, backwards)

    def _clock(self, one: Checked) -> ClockDoubt | None:
        """Say what is wrong with a record's clock by itself. A record that comes late may be of long ago."""
        entry, received_at = _entry(one), one.letter.received_at
        if entry.time - received_at > AHEAD:
            doubt = ClockDoubt.AHEAD
        elif one.enrolled_at is not None and one.enrolled_at - entry.time > AHEAD:
            doubt = ClockDoubt.BEHIND
        else:
            return None
        age = "never set" if entry.clock_age_s is None else f"set {entry.clock_age_s} s before"
        off_s = round((entry.time - received_at).total_seconds())
        self._alarms.add(AlarmKind.CLOCK, entry.device, doubt, f"record {entry.seq} is {off_s} s from its arrival; clock {age}")
        return doubt

    def _refuse_revoked(self, one: Checked, kid: str) -> None:
        entry = _entry(one)
        self._alarms.add(AlarmKind.REVOKED_STILL_SENDING, entry.device, kid, f"record {entry.seq} of epoch {entry.epoch}")
        self._quarantine(one.letter, _bad(entry, Fault.REVOKED_KEY, "signed with a revoked key"))

    def _refuse_second(self, one: Checked, why: str) -> None:
        entry = _entry(one)
        detail = f"record {entry.seq} of epoch {entry.epoch}: {why}"
        self._alarms.add(AlarmKind.EQUIVOCATION, entry.device, entry.epoch, detail)
        self._quarantine(one.letter, _bad(entry, Fault.EQUIVOCATION, detail))

    def _take_word(self, letter: Letter, heard: Heard) -> tuple[DeviceId, Birth] | None:
        """Take what a device says of itself; return a birth that wants an answer."""
        try:
            said = presence.take(self._session, heard.device, heard.what, letter.payload, letter.received_at, self._alarms)
        except presence.Unfit as unfit:
            self._quarantine(letter, Bad(None, Fault.BAD_CONTENT, str(unfit)))
            return None
        return (heard.device, said) if isinstance(said, Birth) and said.nonce else None

    def _doubt(self, births: Sequence[tuple[DeviceId, Birth]]) -> None:
        """Compare births with what was held before this batch."""
        for device, birth in births:
            if doubt := reconcile.doubt(self._session, device, birth):
                self._alarms.add(AlarmKind.ROLLED_BACK, device, birth.epoch, doubt)

    def _look_for_losses(self, device: DeviceId, epoch: str) -> None:
        if lost := reconcile.lost(self._session, device, epoch, self._now):
            self._alarms.add(AlarmKind.GAP, device, epoch, lost)
        else:
            self._alarms.clear(AlarmKind.GAP, device, epoch)

    def _quarantine(self, letter: Letter, bad: Bad) -> None:
        whole = self._quarantined.add(letter, bad)
        if bad.device is not None:
            epoch = bad.place[0] if bad.place else ""
            rejection = Rejection(message_sha256=whole, digest=bad.digest, fault=bad.fault)
            self._answers.about(bad.device, epoch).rejections.append(rejection)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the ledger knows of records that were laid ready, by place.

    Attributes:
        held: places that are taken.
        shut_out: keys of what came after its key was revoked.
        elsewhere: places of records whose id is held at another, or was used before in the batch.
        fresh: all others.
    """

    held: Mapping[Key, Row[Any]] = field(default_factory=dict)
    shut_out: Mapping[Key, str] = field(default_factory=dict)
    elsewhere: Set[Key] = frozenset()
    fresh: Set[Key] = frozenset()

    def breaks(self, session: Session) -> Iterator[Break]:
        """Yield where the ledger does not go on around the fresh ones; what is said of a repeat was said when it came first."""
        if self.fresh:
            for found in sink.breaks(session):
                device, epoch, seq = found.key
                if found.key in self.fresh or (device, epoch, seq - 1) in self.fresh:
                    yield found


def _entry(one: Checked) -> Entry:
    if not isinstance(one.what, Entry):
        raise TypeError("not a record")
    return one.what


def _second_uses(batch: Iterable[Staged]) -> set[Key]:
    """Return the places of a batch whose record id was used in it before."""
    ids, second = set[str](), set[Key]()
    for staged in batch:
        if staged.entry.id in ids:
            second.add(staged.entry.key)
        ids.add(staged.entry.id)
    return second


def _bad(entry: Entry, fault: Fault, detail: str) -> Bad:
    return Bad(entry.device, fault, detail, digest=entry.digest, place=(entry.epoch, entry.seq), content=entry.message)


def _shards(checked: Iterable[Checked]) -> set[int]:
    """Return the shards that a batch writes for; what came on no proper topic is nobody's."""
    return {shard(one.what.device) for one in checked if one.what.device is not None}
