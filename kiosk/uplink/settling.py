"""What a receipt changes in the outbox. Signature and addressee are checked before; everything here runs in one transaction.

What the centre says by number (``upto`` and ``gaps``) is weaker than what it says of exact bytes (a ruling or a rejection with
their digest): a record marked received by its number is asked for again until the rules have ruled on its bytes. So a number that
was used twice, on a card restored from a copy, hides no record.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import structlog
from sqlalchemy import ColumnElement, and_, delete, func, insert, literal, or_, select, update
from sqlalchemy.orm import Session

from kiosk.uplink.store import Former, Meta, Row, State
from sync_agent.contract.receipts import Receipt, Rejection

log = structlog.get_logger(__name__)


class Spot(NamedTuple):
    """Which record: no other of this device has the same."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A birth that awaits its receipt.

    Attributes:
        nonce: the receipt repeats it.
        last_seq: end of the chain as the birth said it.
        at: when it was said, by the kiosk's clock.
    """

    nonce: str
    last_seq: int
    at: datetime


def settle(session: Session, receipt: Receipt, now: datetime, asked: Asked | None) -> set[Spot]:
    """Take in a receipt; return the records whose progress changed."""
    epoch = session.get_one(Meta, 1).epoch
    changed = _reject(session, receipt.rejections, epoch)
    if receipt.epoch == epoch:
        if receipt.upto > (last := session.scalar(select(func.max(Row.seq))) or 0):
            begin_epoch(session)
            log.error("outbox.rolled-back", held=receipt.upto, ours=last)
        else:
            changed |= _receive(session, receipt, now)
            if asked is not None and receipt.reconciles == asked.nonce:
                changed |= _take_back(session, receipt, asked, now)
    return changed | _rule(session, receipt, now)


def begin_epoch(session: Session) -> None:
    """Begin to count anew; what there is stays, under the epoch it was signed in, and goes out like the rest.

    In the epoch that ends a number may mean two records, so being received by number counts no longer: from now on only rulings
    and rejections settle its records.
    """
    meta = session.get_one(Meta, 1)
    session.execute(update(Row).where(Row.state == State.RECEIVED).values(state=State.WAITING))
    shared = [one.name for one in Row.__table__.columns]
    old = select(literal(meta.epoch), *(Row.__table__.columns[name] for name in shared)).order_by(Row.seq)
    session.execute(insert(Former).from_select(["epoch", *shared], old))
    session.execute(delete(Row))
    meta.epoch = secrets.token_hex(8)


def _receive(session: Session, receipt: Receipt, now: datetime) -> set[Spot]:
    """Mark what the centre holds."""
    changed: set[Spot] = set()
    for first, last in _held(receipt):
        marked = (
            update(Row)
            .where(Row.state == State.WAITING, Row.seq.between(first, last))
            .values(state=State.RECEIVED, received_at=now)
            .returning(Row.seq)
        )
        changed.update(Spot(receipt.epoch, seq) for seq in session.scalars(marked))
    return changed


def _take_back(session: Session, receipt: Receipt, asked: Asked, now: datetime) -> set[Spot]:
    """Let what the centre was thought to hold, and does not, wait again: its database went back to an older state.

    What was received since the question is left: the answer may not know of it. A time that is still to come was written by a
    clock that has been set back since, and says nothing of that.
    """
    missing = [Row.seq > receipt.upto, *(Row.seq.between(first, last) for first, last in receipt.gaps)]
    changed: set[Spot] = set()
    for part in missing:
        is_older = or_(Row.received_at <= asked.at, Row.received_at > now)
        thought = and_(Row.state.in_((State.RECEIVED, State.ANSWERED)), Row.seq <= asked.last_seq, is_older)
        anew = dict.fromkeys(("received_at", "standing", "code", "effective_from", "case", "ruled_at"))
        again = update(Row).where(thought, part).values(state=State.WAITING, **anew).returning(Row.seq)
        changed.update(Spot(receipt.epoch, seq) for seq in session.scalars(again))
    if changed:
        log.error("outbox.missing-at-the-centre", records=len(changed), first=min(changed).seq, last=max(changed).seq)
    return changed


def _rule(session: Session, receipt: Receipt, now: datetime) -> set[Spot]:
    """Mark what the rules said, unless something newer is known: a receipt may come late, or be played again."""
    changed: set[Spot] = set()
    kept, ours = _shelf(session, receipt.epoch)
    for ruling in receipt.rulings:
        fits = (*ours, kept.seq == ruling.seq, kept.digest == ruling.digest)
        said = dict(standing=ruling.standing, code=ruling.code, effective_from=ruling.effective_from, case=ruling.case)
        is_news = or_(kept.ruled_at.is_(None), kept.ruled_at < receipt.at)
        marked = (
            update(kept)
            .where(*fits, is_news)
            .values(
                state=State.ANSWERED,
                received_at=func.coalesce(kept.received_at, literal(now, Row.received_at.type)),
                ruled_at=receipt.at,
                fault=None,
                **said,
            )
            .returning(kept.seq)
        )
        if session.scalar(marked) is not None:
            changed.add(Spot(receipt.epoch, ruling.seq))
        elif session.scalar(select(kept.seq).where(*ours, kept.seq == ruling.seq, kept.digest != ruling.digest)) is not None:
            log.error("outbox.ruling-on-other-bytes", seq=ruling.seq)
    return changed


def _reject(session: Session, rejections: Iterable[Rejection], epoch: str) -> set[Spot]:
    """Mark what never became a record; it stays here for staff and is not sent again."""
    changed: set[Spot] = set()
    for one in rejections:
        for kept, of_epoch in ((Row, literal(epoch)), (Former, Former.epoch)):
            these = kept.digest == one.digest if one.digest else kept.message_sha256 == one.message_sha256
            still = kept.state.in_((State.WAITING, State.RECEIVED))
            marked = update(kept).where(still, these).values(state=State.REJECTED, fault=one.fault).returning(of_epoch, kept.seq)
            changed.update(Spot(where, seq) for where, seq in session.execute(marked))
    return changed


def _shelf(session: Session, epoch: str) -> tuple[type[Row] | type[Former], tuple[ColumnElement[bool], ...]]:
    """Return the table in which an epoch's records are, and the condition that names them."""
    if session.get_one(Meta, 1).epoch == epoch:
        return Row, ()
    return Former, (Former.epoch == epoch,)


def _held(receipt: Receipt) -> Iterable[tuple[int, int]]:
    """Yield the ranges that the centre holds, both ends included."""
    first = 1
    for gap_first, gap_last in sorted(receipt.gaps):
        if first < gap_first:
            yield first, min(gap_first - 1, receipt.upto)
        first = max(first, gap_last + 1)
    if first <= receipt.upto:
        yield first, receipt.upto
