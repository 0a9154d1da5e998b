"""Why something was refused: stable codes that devices, logs and staff pages share."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """Why a message never became a record of the ledger: it is quarantined and answered with this."""

    TOO_LARGE = "too-large"
    NOT_A_RECORD = "not-a-record"
    UNKNOWN_KEY = "unknown-key"
    REVOKED_KEY = "revoked-key"
    BAD_SIGNATURE = "bad-signature"
    WRONG_DEVICE = "wrong-device"
    UNKNOWN_VERSION = "unknown-version"
    UNKNOWN_SUITE = "unknown-suite"
    BAD_CONTENT = "bad-content"
    CANNOT_OPEN = "cannot-open"
    EQUIVOCATION = "equivocation"
    INTERNAL = "internal"
    """A fault of the sync agent itself: the bytes are kept and the device is told nothing, so that it sends again."""


class Code(StrEnum):
    """Why the registry's rules refused a record that is safely in the ledger (domain.md section 5)."""

    PERSON_NOT_EXPECTED = "PERSON_NOT_EXPECTED"
    PERSON_MISMATCH = "PERSON_MISMATCH"
    CARD_EXPIRED = "CARD_EXPIRED"
    NOT_VERIFIED = "NOT_VERIFIED"
    UNDER_AGE = "UNDER_AGE"
    UNREADABLE = "UNREADABLE"
    """Its sealed part does not open with the registry's keys, or holds something else than its kind: kept as evidence."""
