"""Takes the outbox to the centre by hand: every kept record in one file that only the registry opens. Changes nothing here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from joserfc.jwk import OKPKey

from kiosk.uplink.outbox import Outbox
from sync_agent.contract import carried
from sync_agent.contract.topics import DeviceId, Tenant


def write(outbox: Outbox, source: tuple[Tenant, DeviceId], registry_key: OKPKey, file: Path) -> int:
    """Write the file whole or not at all; what has a receipt goes along, for the centre may have lost it.

    Args:
        outbox: may be in use meanwhile.
        source: tenant and device.
        registry_key: the registry's public key.
        file: where; replaced when it is there.

    Returns:
        How many records it holds.

    Raises:
        OSError: it cannot be written.
        OutboxFault: the outbox cannot be read.
    """
    count = 0

    def counted() -> Iterator[bytes]:
        nonlocal count
        for message in outbox.messages():
            count += 1
            yield message

    part = file.with_name(file.name + ".part")
    try:
        with part.open("wb") as out:
            out.writelines(carried.write(source, counted(), registry_key))
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return count
