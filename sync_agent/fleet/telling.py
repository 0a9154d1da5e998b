"""Tells devices the trust list: those that are connected, do not have the newest one yet, or are to replace their record key."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import or_, select

from sync_agent.contract import topics
from sync_agent.contract.status import Link
from sync_agent.contract.topics import DeviceId, Down, Tenant
from sync_agent.fleet import trust
from sync_agent.fleet.authority import Authority
from sync_agent.registry.database import Database
from sync_agent.registry.tables import Device, DeviceStatus, DeviceTrust

log = structlog.get_logger(__name__)

AGAIN: Final = timedelta(minutes=10)
"""A device that stays connected and does not take its list is told again after so long."""

MOST: Final = 500
"""So many devices are told in one round; each list is signed for its device."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What a device was told, and when."""

    number: int
    replace_key: str
    at: datetime


class Teller:
    """Tells what is due, round after round. One for each sync agent, for the shards it holds."""

    def __init__(
        self,
        database: Database,
        authority: Authority,
        tenant: Tenant,
        held: Callable[[], Collection[int]],
        say: Callable[[str, bytes, int], None],
        now: Callable[[], datetime],
    ) -> None:
        """Make a teller.

        Args:
            database: the registry.
            authority: signs the lists.
            tenant: whose devices.
            held: the shards that this sync agent holds.
            say: publishes a payload on a topic through the session of a shard.
            now: the clock, UTC.
        """
        self._database = database
        self._authority = authority
        self._tenant = tenant
        self._held = held
        self._say = say
        self._now = now
        self._told: dict[DeviceId, _Told] = {}

    def round(self) -> int:
        """Tell every device that is due; return how many were told."""
        now, shards = self._now(), set(self._held())
        with self._database.write() as session:
            newest = trust.newest_list(session, self._authority, now)
            asked = (
                select(Device.id, DeviceStatus.link_since, DeviceTrust.replace_key)
                .join(DeviceStatus, DeviceStatus.device_id == Device.id)
                .outerjoin(DeviceTrust, DeviceTrust.device_id == Device.id)
                .where(
                    Device.revoked_at.is_(None),
                    DeviceStatus.link == Link.ONLINE,
                    or_(DeviceTrust.number.is_(None), DeviceTrust.number < newest.number, DeviceTrust.replace_key != ""),
                )
                .order_by(Device.id)
            )
            rows = [
                (DeviceId(device), since, _Told(newest.number, key or "", now)) for device, since, key in session.execute(asked)
            ]
            waiting = {device: (since, told) for device, since, told in rows if topics.shard(device) in shards}
            self._told = {device: told for device, told in self._told.items() if device in waiting}
            due = [device for device, (since, told) in waiting.items() if self._is_due(device, since, told)][:MOST]
            lists = [(device, trust.signed(session, self._authority, device, newest, now)) for device in due]
        for device, payload in lists:
            self._say(topics.down(self._tenant, device, Down.TRUST), payload, topics.shard(device))
            self._told[device] = waiting[device][1]
        if lists:
            log.info("trust.told", devices=len(lists), number=newest.number)
        return len(lists)

    def _is_due(self, device: DeviceId, connected_since: datetime, told: _Told) -> bool:
        last = self._told.get(device)
        if last is None or (last.number, last.replace_key) != (told.number, told.replace_key):
            return True
        return last.at < connected_since or told.at - last.at >= AGAIN
