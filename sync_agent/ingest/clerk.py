"""The clerk: takes a batch of messages into the registry in one transaction, exactly once in effect, and writes the receipts.

The key is (device, epoch, sequence) with the digest of the signed bytes. The same key with the same digest is a harmless repeat
and is answered as the first time; with another digest it is evidence of a cloned or rolled-back device: the first copy stays, the
second is quarantined. A message that cannot become a record never blocks the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Final

import structlog
from joserfc.jwk import OKPKey
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from sync_agent.contract import receipts, topics
from sync_agent.contract.codes import Fault
from sync_agent.contract.envelope import Refused
from sync_agent.contract.receipts import Receipt, Rejection, Ruling
from sync_agent.contract.topics import DeviceId, Down, Heard, Tenant, Up
from sync_agent.fleet import keys, presence
from sync_agent.ingest.check import Bad, Good, RecordKey, check, place
from sync_agent.ingest.receiver import Letter
from sync_agent.ingest.seen import with_one_more
from sync_agent.registry import rules
from sync_agent.registry.database import Database
from sync_agent.registry.rules import RuleBook
from sync_agent.registry.tables import DeviceSeen, Quarantine, RecordRow

log = structlog.get_logger(__name__)

KEPT_BYTES: Final = 64 * 1024
"""So much of a message that is no record is kept."""


@dataclass(slots=True)
class Answer:
    """What is to be said to one device about one epoch of it ("" when nothing could be read)."""

    rulings: dict[int, Ruling] = field(default_factory=dict)
    rejections: dict[str, Rejection] = field(default_factory=dict)


Answers = defaultdict[tuple[DeviceId, str], Answer]


@dataclass(frozen=True, slots=True)
class Post:
    """A signed receipt, ready to be said."""

    topic: str
    payload: bytes


class Clerk:
    """Applies batches. One at a time; several clerks on one database are safe, the key is the ledger's."""

    def __init__(
        self,
        database: Database,
        book: RuleBook,
        *,
        tenant: Tenant,
        registry_key: OKPKey,
        receipt_key: OKPKey,
        now: Callable[[], datetime],
    ) -> None:
        """Make a clerk.

        Args:
            database: the registry.
            book: what the operator has settled for the rules.
            tenant: whose devices.
            registry_key: private X25519 key that personal parts are sealed to.
            receipt_key: private Ed25519 key that receipts are signed with.
            now: the clock, UTC.
        """
        self._database = database
        self._book = book
        self._tenant = tenant
        self._registry_key = registry_key
        self._receipt_key = receipt_key
        self._now = now

    def take(self, letters: Sequence[Letter]) -> list[Post]:
        """Take a batch in; when this returns it is committed and may be acknowledged.

        Raises:
            OperationalError, InterfaceError: the database is away or locked; nothing was applied, try the batch again.
        """
        answers: Answers = defaultdict(Answer)
        with self._database.write() as session:
            for letter in letters:
                heard = place(letter.topic, self._tenant)
                if isinstance(heard, Bad):
                    self._quarantine(session, letter, heard, answers)
                elif heard.what is Up.RECORD:
                    self._take_record(session, letter, heard, answers)
                else:
                    self._take_status(session, letter, heard, answers)
            return [self._post(session, device, epoch, answer) for (device, epoch), answer in answers.items()]

    def _take_record(self, session: Session, letter: Letter, heard: Heard, answers: Answers) -> None:
        checked = check(letter.payload, heard, letter.received_at, lambda kid: _find_key(session, kid))
        if isinstance(checked, Bad):
            self._quarantine(session, letter, checked, answers)
            return
        try:
            ruling = self._apply_alone(session, letter, checked)
        except Refused as refused:
            self._quarantine(session, letter, Bad(heard.device, refused.fault, refused.detail), answers)
        except (OperationalError, InterfaceError):
            raise
        except Exception as failure:
            # A fault of ours in one record must not hold up the others; its bytes are kept and the device sends it again.
            log.exception("record.rules-failed", kind=checked.record.event.kind, failure=type(failure).__name__)
            self._quarantine(session, letter, Bad(None, Fault.INTERNAL, type(failure).__name__), answers)
        else:
            answers[heard.device, checked.record.event.epoch].rulings[ruling.seq] = ruling

    def _apply_alone(self, session: Session, letter: Letter, good: Good) -> Ruling:
        """Apply a record so that its failure undoes nothing but itself.

        Raises:
            Refused: the same key with other bytes, or a personal part that does not open.
        """
        try:
            with session.begin_nested():
                return self._apply(session, letter, good)
        except IntegrityError:
            # Another clerk met the same new row at the same moment; now it can be seen.
            with session.begin_nested():
                return self._apply(session, letter, good)

    def _apply(self, session: Session, letter: Letter, good: Good) -> Ruling:
        """Apply a record once; answer a repeat as the first time.

        Raises:
            Refused: the same key with other bytes, or a personal part that does not open.
        """
        event = good.record.event
        same = (RecordRow.device_id == good.device, RecordRow.epoch == event.epoch, RecordRow.seq == event.seq)
        first = session.scalars(select(RecordRow).where(*same)).first() or session.get(RecordRow, event.id)
        if first is not None:
            if first.digest != good.record.digest:
                raise Refused(Fault.EQUIVOCATION, f"sequence {event.seq} of epoch {event.epoch} is held with other bytes")
            return _ruling(first)
        personal = good.record.personal(self._registry_key)
        judged = rules.apply(session, good.record, personal, self._book, self._now())
        row = RecordRow(
            id=event.id,
            device_id=good.device,
            epoch=event.epoch,
            seq=event.seq,
            digest=good.record.digest,
            prev=event.prev,
            boot=event.boot,
            kind=event.kind,
            time=event.time,
            clock_age_s=event.clockage,
            received_at=letter.received_at,
            kid=good.kid,
            message=letter.payload,
            site_id=judged.site_id,
            person_id=judged.person_id,
            standing=judged.standing,
            code=judged.code,
            effective_from=judged.effective_from,
            case_number=judged.case_number,
        )
        session.add(row)
        _mark_seen(session, good.device, event.epoch, event.seq, self._now())
        session.flush()
        log.info("record.applied", device=good.device, kind=event.kind, seq=event.seq, standing=judged.standing.value)
        return _ruling(row)

    def _take_status(self, session: Session, letter: Letter, heard: Heard, answers: Answers) -> None:
        fault = presence.take(session, heard.device, heard.what, letter.payload, letter.received_at)
        if fault is not None:
            self._quarantine(session, letter, Bad(None, Fault.BAD_CONTENT, fault), answers)

    def _quarantine(self, session: Session, letter: Letter, bad: Bad, answers: Answers) -> None:
        """Keep what cannot become a record, once however often it comes, and tell the device."""
        whole, topic = sha256(letter.payload).hexdigest(), letter.topic[:256]
        log.warning("message.quarantined", device=bad.device, fault=bad.fault.value, size=len(letter.payload))
        key = (Quarantine.sha256 == whole, Quarantine.fault == bad.fault, Quarantine.topic == topic)
        known = session.scalars(select(Quarantine).where(*key)).first()
        if known is not None:
            known.times, known.last_at = known.times + 1, letter.received_at
        else:
            session.add(
                Quarantine(
                    topic=topic,
                    fault=bad.fault,
                    detail=bad.detail[:500],
                    sha256=whole,
                    size=len(letter.payload),
                    raw=letter.payload[:KEPT_BYTES],
                    at=letter.received_at,
                    last_at=letter.received_at,
                )
            )
            session.flush()
        if bad.device is not None:
            answers[bad.device, ""].rejections[whole] = Rejection(message_sha256=whole, fault=bad.fault)

    def _post(self, session: Session, device: DeviceId, epoch: str, answer: Answer) -> Post:
        seen = session.get(DeviceSeen, (device, epoch))
        receipt = Receipt(
            device=device,
            epoch=epoch,
            upto=seen.upto if seen else 0,
            gaps=tuple((first, last) for first, last in seen.gaps) if seen else (),
            rulings=tuple(answer.rulings.values()),
            rejections=tuple(answer.rejections.values()),
            at=self._now(),
        )
        return Post(topics.down(self._tenant, device, Down.RECEIPT), receipts.write(receipt, self._receipt_key))


def _find_key(session: Session, kid: str) -> RecordKey | None:
    row = keys.find(session, kid)
    return None if row is None else RecordKey(DeviceId(row.device_id), OKPKey.import_key(row.public_key), row.revoked_at)


def _mark_seen(session: Session, device: DeviceId, epoch: str, seq: int, now: datetime) -> None:
    seen = session.get(DeviceSeen, (device, epoch), with_for_update=True)
    if seen is None:
        seen = DeviceSeen(device_id=device, epoch=epoch, upto=0, gaps=[], updated_at=now)
        session.add(seen)
    upto, gaps = with_one_more(seen.upto, [(first, last) for first, last in seen.gaps], seq)
    seen.upto, seen.gaps, seen.updated_at = upto, [list(gap) for gap in gaps], now


def _ruling(row: RecordRow) -> Ruling:
    return Ruling(
        seq=row.seq,
        digest=row.digest,
        standing=row.standing,
        code=row.code,
        effective_from=row.effective_from,
        case=row.case_number,
    )
