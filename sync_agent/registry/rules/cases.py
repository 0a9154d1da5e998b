"""Somebody asks for a person: a case with a number and a deadline, never a dead end."""

from __future__ import annotations

from sync_agent.contract.kinds import Case
from sync_agent.registry.rules.decision import Decision, OpenCase, in_review
from sync_agent.registry.tables import CaseKind


def ask(facts: Case) -> Decision:
    """S15, S16, S52, S63: one touch opens a case with its context."""
    return in_review(OpenCase(CaseKind.HELP, step=facts.step, cause=facts.cause))


def other_site() -> Decision:
    """A device that speaks of a site it does not stand at was moved without notice, or is not what it says: a person looks."""
    return in_review(OpenCase(CaseKind.OTHER_SITE))
