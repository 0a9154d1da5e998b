"""What the government-services portal asserts of an account, and whether it fits what the registry knows (S03, S04, S16)."""

from __future__ import annotations

from dataclasses import dataclass

from sync_agent.contract.codes import Code
from sync_agent.contract.numbers import is_uscc
from sync_agent.registry.rules.firm import Firm


@dataclass(frozen=True, slots=True)
class Named:
    """A natural person as an upstream system names them; empty: it does not say."""

    number: str = ""
    name: str = ""

    def __repr__(self) -> str:
        """Name nobody."""
        return "Named(...)"


@dataclass(frozen=True, slots=True)
class Assertion:
    """The portal says that an account speaks for an enterprise.

    Attributes:
        account: the portal's id of it.
        uscc: unified social credit code of the enterprise.
        name: of the enterprise.
        assurance: level at which the portal knows who it is.
        division: where the enterprise is registered, GB/T 2260; empty: it does not say.
        legal_rep: as the portal knows them.
        operator: who uses the account.
    """

    account: str
    uscc: str
    name: str
    assurance: str
    division: str = ""
    legal_rep: Named = Named()
    operator: Named = Named()


@dataclass(frozen=True, slots=True)
class Known:
    """What the registry has of the account.

    Attributes:
        uscc: the enterprise it spoke for; None: the account is new.
        is_frozen: staff froze it.
        has_double: the same person uses another account of the same enterprise.
    """

    uscc: str | None = None
    is_frozen: bool = False
    has_double: bool = False


@dataclass(frozen=True, slots=True)
class Admission:
    """What becomes of an assertion.

    Attributes:
        code: why the account may not in; None: it may.
        cause: what does not fit, for staff; nothing personal.
    """

    code: Code | None = None
    cause: str = ""


def admit(firm: Firm | None, known: Known, assertion: Assertion) -> Admission:
    """S03, S16: let an account in, or say what does not fit. An enterprise that is new comes into being by this alone (S04).

    Args:
        firm: the enterprise that is asserted; None: it is new.
        known: what the registry has of the account.
        assertion: what the portal says.
    """
    if not is_uscc(assertion.uscc):
        return Admission(Code.WRONG_CONTENT, "uscc")
    legal_rep = assertion.legal_rep
    causes = {
        "account-uscc": known.uscc not in (None, assertion.uscc),
        "account-frozen": known.is_frozen,
        "duplicate-person": known.has_double,
    }
    if firm is not None:
        expected = firm.legal_rep
        causes |= {
            "enterprise-frozen": firm.is_frozen and not known.is_frozen,
            "portal-name": assertion.name != firm.name,
            "legal-rep-number": bool(legal_rep.number and expected.number) and legal_rep.number != expected.number,
            "legal-rep-name": bool(legal_rep.name and expected.name) and legal_rep.name != expected.name,
        }
    cause = next((name for name, holds in causes.items() if holds), "")
    return Admission(Code.ACCOUNT_ABNORMAL, cause) if cause else Admission()
