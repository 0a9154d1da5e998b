"""Renewal: a new certificate at two thirds of the old one's life, and a new record key when the centre asks for one.

Part of the uplink process. Every certificate is for a new TLS key. The request is signed by the record key, so that it works when
the certificate has ended, too; the pair before it is kept until the new one has connected (`kiosk/uplink/wallet.py`).
"""

from __future__ import annotations

import asyncio
import random
import secrets
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import structlog

from kiosk.clock import Clock
from kiosk.uplink.door import Door, DoorAway, DoorRefused, NotTheDoor
from kiosk.uplink.trust import TrustBox
from kiosk.uplink.wallet import Wallet, WrongAnswer
from sync_agent.contract.enrolment import NEW_KEY_MEDIA_TYPE, RENEWAL_MEDIA_TYPE, DoorFault, NewKey, Renewal, Renewed, proof_of
from sync_agent.contract.suites import INTL_1

log = structlog.get_logger(__name__)

AT: Final = 2 / 3
"""Of its life a certificate is worn, and then renewed."""

SPREAD: Final = 1 / 30
"""Of its life: the renewals of devices that were enrolled together are spread over so much time."""

SOON: Final = timedelta(days=1)
"""Within so long a certificate of a former authority is renewed."""

LOOK_S: Final = 3600.0
"""Between two looks at the clock, seconds: it may be set meanwhile."""

RETRY_S: Final = 60.0
RETRY_MAX_S: Final = 3600.0


class Renewals:
    """Keeps certificate and record key new. Make and run it in the uplink's event loop."""

    def __init__(self, wallet: Wallet, clock: Clock, jitter: random.Random) -> None:
        """Prepare.

        Args:
            wallet: the identity that is kept new.
            clock: tells when it is time.
            jitter: spreads the renewals of a fleet.
        """
        self._wallet = wallet
        self._clock = clock
        self._jitter = jitter
        self._share = jitter.random()
        self._wake = asyncio.Event()
        self._failures = 0
        self.box = TrustBox(wallet, self._wake.set)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._wake.clear()
            wait_s = await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    def due(self) -> datetime:
        """Return when the next renewal is due, UTC."""
        certificate = self._wallet.certificate()
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        due = begin + (end - begin) * (AT + SPREAD * self._share)
        if self._wallet.is_of_former_authority():
            due = min(due, self._wallet.believed_since() + SOON * self._share)
        return due

    async def _look(self) -> float:
        """Renew if it is time; return how long to wait before the next look, seconds."""
        if not self._wallet.current.door:
            return LOOK_S
        wants_key = self._wants_new_key()
        left = self.due() - self._clock.now()
        if left > timedelta(0) and not wants_key:
            return min(LOOK_S, left.total_seconds())
        try:
            await asyncio.to_thread(self._renew, wants_key)
        except (DoorAway, NotTheDoor, DoorRefused, WrongAnswer) as err:
            self._failures += 1
            ends = self._wallet.certificate().not_valid_after_utc
            say = log.error if ends < self._clock.now() else log.warning
            say("renewal.failed", code=err.code, reason=str(err), tries=self._failures, certificate_until=ends.isoformat())
            ceiling = min(RETRY_MAX_S, RETRY_S * 2.0 ** min(self._failures, 10))
            return self._jitter.uniform(ceiling / 10, ceiling)
        self._failures = 0
        return 0.0

    def _wants_new_key(self) -> bool:
        """Tell whether the centre asks for another record key than the one in force, or a change of it is half done."""
        return self.box.replace_key == self._wallet.signing_key.thumbprint() or self._wallet.has_next_record_key()

    def _renew(self, wants_key: bool) -> None:
        """Ask for a renewal and put it in force. Blocks."""
        who = self._wallet.current
        door = Door(who.door, who.ca)
        try:
            renewed = door.renew(self._request(wants_key, self._clock.now()))
        except DoorRefused as refused:
            if refused.code is not DoorFault.WRONG_TIME:
                raise
            log.warning("renewal.clock-differs", by_s=round((refused.refusal.now - self._clock.now()).total_seconds()))
            renewed = door.renew(self._request(wants_key, refused.refusal.now))
        self._take(renewed)

    def _take(self, renewed: Renewed) -> None:
        self._wallet.renew(renewed)
        if renewed.trust:
            self.box.take(renewed.trust.encode())

    def _request(self, wants_key: bool, at: datetime) -> bytes:
        key, device = self._wallet.signing_key, self._wallet.device
        new_key = None
        if wants_key:
            fresh = self._wallet.next_record_key()
            proof = INTL_1.sign(proof_of(device, key.thumbprint()), fresh, NEW_KEY_MEDIA_TYPE)
            new_key = NewKey(key=fresh.as_dict(private=False), proof=proof.decode())
        asked = Renewal(device=device, csr=self._wallet.next_request(), at=at, nonce=secrets.token_hex(16), new_key=new_key)
        return INTL_1.sign(asked.model_dump_json().encode(), key, RENEWAL_MEDIA_TYPE)
