"""What is said to the devices after a transaction: one signed receipt for each device and epoch, whatever it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from joserfc.jwk import OKPKey
from sqlalchemy import Row

from sync_agent.contract import receipts, topics
from sync_agent.contract.receipts import Receipt, Rejection, Ruling
from sync_agent.contract.topics import DeviceId, Down, Tenant
from sync_agent.ingest.seen import Seen
from sync_agent.registry.tables import RecordRow

GAPS: Final = 1000
"""Most gaps in one receipt."""

ROOM: Final = 47_000
"""Bytes for gaps and answers in one receipt: signed, with what else stands in it, it stays below `envelope.MAX_BYTES`."""

GAP_BYTES: Final = 24
"""Most that a gap takes, bytes: two numbers of ten digits."""

ANSWER_BYTES: Final = 256
"""Most that a ruling or a rejection takes, bytes."""


@dataclass(frozen=True, slots=True)
class Post:
    """A receipt to be said. It is signed when it goes: until then it may be joined with the next one to the same device."""

    receipt: Receipt
    office: Office

    @property
    def topic(self) -> str:
        """Where to say it."""
        return topics.down(self.office.tenant, DeviceId(self.receipt.device), Down.RECEIPT)

    @property
    def payloads(self) -> list[bytes]:
        """What to say, signed: one message, or several in this order where one would be longer than a message may be."""
        key = self.office.key
        return [receipts.write(part, key) for part in parts(self.receipt)]


def parts(receipt: Receipt) -> Iterator[Receipt]:
    """Yield a receipt as messages that are not too long: each says what is held, and some of the answers.

    The first one answers the birth, where the receipt does.
    """
    most = (ROOM - GAP_BYTES * len(receipt.gaps)) // ANSWER_BYTES
    answers = (*receipt.rulings, *receipt.rejections)
    if len(answers) <= most:
        yield receipt
        return
    for first in range(0, len(answers), most):
        some = answers[first : first + most]
        told = {
            "rulings": tuple(one for one in some if isinstance(one, Ruling)),
            "rejections": tuple(one for one in some if isinstance(one, Rejection)),
            "reconciles": "" if first else receipt.reconciles,
        }
        yield receipt.model_copy(update=told)


@dataclass(slots=True)
class Answer:
    """What is to be said to one device about one epoch of it.

    Attributes:
        reconciles: nonce of the birth that is answered, and what the device says it has signed.
    """

    rulings: dict[int, Ruling] = field(default_factory=dict)
    rejections: list[Rejection] = field(default_factory=list)
    reconciles: tuple[str, int] | None = None


class Answers:
    """What is to be said, gathered during a transaction; nothing is signed before it is known to be all."""

    def __init__(self) -> None:
        self._answers: dict[tuple[DeviceId, str], Answer] = {}

    def about(self, device: str, epoch: str) -> Answer:
        """Return what is to be said of a chain, to be added to; epoch "" for what cannot be placed."""
        return self._answers.setdefault((DeviceId(device), epoch), Answer())

    @property
    def chains(self) -> list[tuple[str, str]]:
        """The chains that something is said of."""
        return [(device, epoch) for device, epoch in self._answers if epoch]

    def posts(self, seen: Mapping[tuple[str, str], Seen], office: Office) -> Iterator[Post]:
        """Yield the receipts.

        Args:
            seen: what is held of the chains.
            office: who signs.
        """
        for (device, epoch), answer in self._answers.items():
            held = seen.get((device, epoch), Seen())
            nonce, last = answer.reconciles or ("", 0)
            upto, gaps = _that_fits(held.upto, held.missing_up_to(last))
            yield office.post(
                Receipt(
                    device=device,
                    epoch=epoch,
                    upto=upto,
                    gaps=gaps,
                    rulings=tuple(answer.rulings.values()),
                    rejections=tuple(dict.fromkeys(answer.rejections)),
                    reconciles=nonce,
                    at=office.now(),
                )
            )


def _that_fits(upto: int, gaps: tuple[tuple[int, int], ...]) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Return as much of a chain as one receipt can tell: up to the first gap it has no room for, nothing of what is behind.

    What is not told to be held the device sends again: a harmless repeat, where a gap that is kept quiet would be a loss.
    """
    return (upto, gaps) if len(gaps) <= GAPS else (min(upto, gaps[GAPS][0] - 1), gaps[:GAPS])


@dataclass(frozen=True, slots=True)
class Office:
    """Who answers.

    Attributes:
        tenant: whose devices.
        in_force: gives the private Ed25519 key that receipts are signed with; one key follows another while we work.
        now: the clock, UTC.
    """

    tenant: Tenant
    in_force: Callable[[], OKPKey]
    now: Callable[[], datetime]

    @property
    def key(self) -> OKPKey:
        """The private key that receipts are signed with now."""
        return self.in_force()

    def post(self, receipt: Receipt) -> Post:
        """Return a receipt to be said in this office's name."""
        return Post(receipt, self)


def ruling(row: RecordRow | Row[Any]) -> Ruling:
    """Return what the rules said of a record that they have judged."""
    return Ruling(
        seq=row.seq,
        digest=row.digest,
        standing=row.standing,
        code=row.code,
        effective_from=row.effective_from,
        case=row.case_number,
        gaps=tuple(row.gaps or ()),
    )
