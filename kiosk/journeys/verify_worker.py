"""A worker on a building site proves that the card is theirs (S11, S15, S48, S49; P01-P04, P16)."""

from __future__ import annotations

from kiosk.cards.document import Document
from kiosk.desk import Desk, PartLost
from sync_agent.contract.kinds import Comparison, Method, Outcome, Verification


async def verify_worker(desk: Desk) -> None:
    """Card, consent, face, record, answer. Who refuses the face, or cannot use it, is checked by a person instead."""
    document = await desk.read_card()
    consent = await desk.ask_consent()
    comparisons = await compare(desk, document) if consent.compare else []
    by_face = bool(comparisons)
    verification = Verification(
        site=desk.site,
        card=document.facts,
        consent=consent,
        method=Method.FACE if by_face else Method.MANUAL,
        outcome=comparisons[-1].outcome if by_face else Outcome.TO_CONFIRM,
        comparisons=tuple(comparisons),
    )
    filed = desk.record(verification, document.holder)
    await desk.answer(filed, document, verification.outcome)


async def compare(desk: Desk, document: Document) -> list[Comparison]:
    """Compare until it matches, a person has to decide, or the tries are used up (S15)."""
    comparisons: list[Comparison] = []
    for left in reversed(range(desk.tries)):
        try:
            comparisons.append(await desk.compare(document))
        except PartLost as fault:
            await desk.say_manual(fault)
            return comparisons
        if comparisons[-1].outcome in (Outcome.MATCH, Outcome.REVIEW, Outcome.NO_REFERENCE) or left == 0:
            return comparisons
        if not await desk.try_again(comparisons[-1], left):
            return comparisons
    return comparisons
