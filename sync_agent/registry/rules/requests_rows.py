"""What the handlers of all requests do first and last: gate, signature and documents; then what was accepted is kept whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Request
from sync_agent.contract.parts import Part
from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import RequestBody
from sync_agent.registry.rules import documents_rows, firm_rows
from sync_agent.registry.rules.decision import Change, Decision, abnormal, refused
from sync_agent.registry.rules.documents import Whole
from sync_agent.registry.rules.firm import Firm
from sync_agent.registry.rules.requests import Lack, refusal, refuse
from sync_agent.registry.rules.work import Work

Body = TypeVar("Body", bound=Part)


@dataclass(frozen=True, slots=True)
class Asked(Generic[Body]):
    """A request that came through the gate, signed by somebody who may.

    Attributes:
        wholes: its documents.
        lacks: what is lacking of them, to be said together with all else that is lacking.
    """

    firm: Firm
    body: Body
    wholes: tuple[Whole, ...]
    lacks: tuple[Lack, ...]


def receive(work: Work, kind: type[Body]) -> Asked[Body] | Decision:
    """Return what is asked, or the answer where it is refused whatever it is."""
    firm, code = firm_rows.command(work)
    if firm is None or code is not None:
        return work.settle(abnormal("frozen") if code is Code.ACCOUNT_ABNORMAL else refused(code or Code.ENTERPRISE_UNKNOWN))
    body = work.sealed(RequestBody).body
    if not isinstance(body, kind):
        return refuse(Code.WRONG_CONTENT, "about")
    wholes, lacks = documents_rows.gather(work, work.facts(Request).attachments)
    return Asked(firm, body, tuple(wholes), tuple(lacks))


def settle(work: Work, asked: Asked[Body], decision: Decision, write: Callable[[Change], None]) -> Decision:
    """Write what was decided; the documents are kept unless it is refused, and it is where one of them is lacking."""
    if decision.standing is not Standing.REFUSED:
        if lacking := refusal(asked.lacks):
            return lacking
        documents_rows.keep(work, asked.wholes)
    return work.settle(decision, write)
