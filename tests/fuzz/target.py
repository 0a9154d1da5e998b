"""Fuzz target of the parser (atheris): whatever bytes come, a message becomes records or is refused with a reason.

    python -m tests.fuzz.target [libFuzzer options] [CORPUS_FOLDER]

Without a signature a fuzzer would never come past the first check, so most inputs are signed with a key that the check knows.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["sync_agent.contract", "sync_agent.ingest.check"]):
    from joserfc.jwk import OKPKey

    from sync_agent.contract import envelope
    from sync_agent.contract.codes import Fault
    from sync_agent.contract.suites import INTL_1
    from sync_agent.contract.topics import DeviceId, Heard, Tenant, Up
    from sync_agent.ingest import check
    from sync_agent.ingest.check import Bad, Claim

# A key for nothing but this: the same on every run, so that a run can be repeated.
KEY = OKPKey.import_key(
    {
        "kty": "OKP",
        "crv": "Ed25519",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwaaPcHURo8",
    }
)
DEVICE, TENANT = DeviceId("kiosk-01"), Tenant("xz")


def try_message(message: bytes) -> None:
    """Check a message as the clerk does.

    Raises:
        RuntimeError: the check met an exception that it did not foresee.
    """
    heard = Heard(TENANT, DEVICE, Up.RECORD)
    kid = check.named_key(message, DEVICE)
    if isinstance(kid, Bad):
        return
    check.claim(message, heard, kid, {})
    for found in check.verify(Claim(TENANT, DEVICE, kid, str(KEY.as_dict(private=False)["x"]), message)):
        if isinstance(found, Bad) and found.fault is Fault.INTERNAL:
            raise RuntimeError(f"an exception nobody foresaw: {found.detail}")


def try_bytes(data: bytes) -> None:
    """Make a message of a fuzzer's bytes: the first says what kind."""
    kind, rest = data[:1], data[1:]
    match kind:
        case b"r":
            try_message(rest)
        case b"b":
            try_message(envelope.batch(rest.split(b"\n")[: envelope.BATCH_MAX], KEY))
        case b"m":
            manifest, *lines = rest.split(b"\n")
            try_message(b"\n".join([INTL_1.sign(manifest, KEY, envelope.BATCH_MEDIA_TYPE), *lines]))
        case _:
            try_message(INTL_1.sign(rest, KEY, envelope.MEDIA_TYPE))


if __name__ == "__main__":
    atheris.Setup(sys.argv, try_bytes)
    atheris.Fuzz()
