"""The public keys that records are signed with, by thumbprint. A key never changes, so each is asked for once.

Whether a key was revoked is another matter: that is asked in the transaction that takes a record in (`sink.shut_out`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

from sqlalchemy import select

from sync_agent.contract.topics import DeviceId
from sync_agent.ingest.check import RecordKey
from sync_agent.registry.database import Database
from sync_agent.registry.tables import Device, DeviceKey

_KEPT: Final = 200_000
"""So many keys are remembered, some 60 MB; a whole country's fleet is half of it."""


class Keyring:
    """Remembers the keys that were asked for; may be used from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, RecordKey] = {}
        self._lock = threading.Lock()

    def find(self, kids: Iterable[str]) -> dict[str, RecordKey]:
        """Return the registered ones among some thumbprints. One that is not is asked for again the next time."""
        asked = set(kids)
        with self._lock:
            found = {kid: self._known[kid] for kid in asked & self._known.keys()}
        if missing := asked - found.keys():
            with self._database.read() as session:
                rows = session.execute(
                    select(DeviceKey.kid, Device.id, DeviceKey.public_key, Device.enrolled_at)
                    .join(Device, Device.id == DeviceKey.device_id)
                    .where(DeviceKey.kid.in_(missing))
                )
                new = {kid: RecordKey(DeviceId(device), str(public["x"]), since) for kid, device, public, since in rows}
            with self._lock:
                if len(self._known) + len(new) > _KEPT:
                    self._known.clear()
                self._known |= new
            found |= new
        return found
