"""A worker on a building site proves that the card is theirs (S11, S15, S48, S49; P01-P04, P15, P16)."""

from __future__ import annotations

from typing import Final

from kiosk.cards.document import Document
from kiosk.desk import Desk, PartLost
from kiosk.waiting import BrokenOff
from sync_agent.contract.kinds import Comparison, Consent, Method, Outcome, Verification

ENDS: Final = frozenset({Outcome.MATCH, Outcome.REVIEW, Outcome.TO_CONFIRM, Outcome.NO_REFERENCE})
"""After these no other try is offered: it is done, or a person has to decide."""


async def verify_worker(desk: Desk) -> None:
    """Card, consent, face, record, answer. Who refuses the face, or cannot use it, is checked by a person instead."""
    document = await desk.read_card()
    consent = await desk.ask_consent()
    comparisons: list[Comparison] = []
    try:
        if consent.compare:
            await compare(desk, document, comparisons)
    except BrokenOff:
        if comparisons:  # whoever walks away after a failed comparison has still been compared
            await desk.record(verification(desk, document, consent, comparisons), document.holder)
        raise
    facts = verification(desk, document, consent, comparisons)
    filed = await desk.record(facts, document.holder)
    await desk.answer(filed, document, facts.outcome)


async def compare(desk: Desk, document: Document, comparisons: list[Comparison]) -> None:
    """Compare until it matches, a person has to decide, or the tries are used up (S15); add each to `comparisons`.

    Raises:
        Left: the visitor went.
        HelpWanted: the visitor asks for a person.
    """
    for left in reversed(range(desk.tries)):
        try:
            comparisons.append(await desk.compare(document))
        except PartLost as fault:
            await desk.say_manual(fault)
            return
        if comparisons[-1].outcome in ENDS or left == 0:
            return
        if not await desk.try_again(comparisons[-1], left):
            return


def verification(desk: Desk, document: Document, consent: Consent, comparisons: list[Comparison]) -> Verification:
    """Return what is recorded: by face with every comparison, or for a person to confirm where none was made."""
    return Verification(
        site=desk.site,
        card=document.facts,
        consent=consent,
        method=Method.FACE if comparisons else Method.MANUAL,
        outcome=comparisons[-1].outcome if comparisons else Outcome.TO_CONFIRM,
        comparisons=tuple(comparisons),
    )
