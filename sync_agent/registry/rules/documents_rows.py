"""Loads and writes for documents: pieces as they come, wholes with the record that names them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from sync_agent.contract.kinds import Piece, PieceBytes
from sync_agent.contract.requests import Attachment
from sync_agent.registry.rules import documents as rule
from sync_agent.registry.rules.decision import Change, Decision
from sync_agent.registry.rules.documents import Arrived, KeepPiece, Whole
from sync_agent.registry.rules.requests import Lack
from sync_agent.registry.rules.work import Work
from sync_agent.registry.tables import Document, PieceRow, Scan


def piece(work: Work) -> Decision:
    """A piece of a document came."""
    facts = work.facts(Piece)

    def write(change: Change) -> None:
        assert isinstance(change, KeepPiece)
        work.session.add(
            PieceRow(
                record_id=work.record.event.id,
                device_id=work.device.id,
                digest=facts.attachment,
                index=facts.index,
                count=facts.count,
                content=change.data,
                at=work.now,
            )
        )

    return work.settle(rule.piece(facts, work.sealed(PieceBytes)), write)


def gather(work: Work, attachments: Sequence[Attachment]) -> tuple[list[Whole], list[Lack]]:
    """Return the documents that a record names, put together from what its device sent, and what is lacking of them."""
    if not attachments:
        return [], []
    work.session.flush()
    digests = {attachment.digest for attachment in attachments}
    asked = select(PieceRow).where(PieceRow.device_id == work.device.id, PieceRow.digest.in_(digests))
    rows = work.session.scalars(asked.order_by(PieceRow.at.desc(), PieceRow.record_id.desc()))
    return rule.gather(attachments, ((row.digest, Arrived(row.index, row.count, row.content)) for row in rows))


def keep(work: Work, wholes: Iterable[Whole]) -> None:
    """Keep the documents of a record that was accepted; their pieces are not needed any more."""
    digests = set()
    for whole in wholes:
        attachment = whole.attachment
        digests.add(attachment.digest)
        work.session.add(
            Document(
                record_id=work.record.event.id,
                digest=attachment.digest,
                role=attachment.role,
                media=attachment.media,
                content=whole.content,
                scan=Scan.NOT_SCANNED,
                at=work.now,
            )
        )
    if digests:
        work.session.execute(delete(PieceRow).where(PieceRow.device_id == work.device.id, PieceRow.digest.in_(digests)))


def clear_out(session: Session, now: datetime) -> None:
    """Delete the pieces that no record took in time."""
    session.execute(delete(PieceRow).where(PieceRow.at < now - rule.KEPT_FOR))
