"""Slips of an invented visit, good and bad, each named by its verdict."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from joserfc.jwk import OKPKey

from sync_agent.contract import cose, slip
from sync_agent.contract.kinds import Outcome
from sync_agent.contract.slip import Entry, Standing, Verdict

AT: Final = datetime(2026, 11, 23, 8, 30, 5, tzinfo=UTC)
NOW: Final = AT + timedelta(days=400)
AGENT, DEVICE, STRANGER = (OKPKey.generate_key("Ed25519") for _ in range(3))
RECORD: Final = UUID("019aaf52-6f00-7cc0-8000-0123456789ab")
ENTRY: Final = Entry(RECORD, AT, "verification", Outcome.MATCH, Standing.EFFECTIVE)


def attested(agent_key: OKPKey = AGENT, *, since: datetime = AT - timedelta(days=1)) -> bytes:
    until = since + timedelta(days=90)
    return slip.attest(DEVICE, device="gate-north-1", site="东门 2 号", valid_from=since, valid_until=until, agent_key=agent_key)


def written(entry: Entry = ENTRY, attestation: bytes | None = None) -> str:
    return slip.text(slip.write(entry, attestation or attested(), DEVICE))


def newer() -> str:
    said: dict[int, cose.Value] = {1: 1, 2: RECORD.bytes, 3: int(AT.timestamp()), 4: 99, 5: 1, 6: 1}
    return slip.text(cose.sign1({cose.KCWT: attested()}, said, DEVICE, b"rz-slip-1"))


def forged() -> str:
    data = slip.write(ENTRY, attested(), DEVICE)
    at = data.index(RECORD.bytes)
    return slip.text(data[:at] + b"\0" + data[at + 1 :])


GOOD: Final = written()
BAD: Final = {
    Verdict.FORGED: forged(),
    Verdict.UNKNOWN_KEY: written(attestation=attested(STRANGER)),
    Verdict.OUT_OF_TIME: written(attestation=attested(since=AT - timedelta(days=91))),
    Verdict.TOO_NEW: newer(),
    Verdict.NOT_A_SLIP: "这不是凭证",
}
