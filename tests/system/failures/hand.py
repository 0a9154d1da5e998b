"""A hand at the wire: it holds a device's keys and certificate, signs and sends what no kiosk would, and hears the answers."""

from __future__ import annotations

import queue
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

import uuid_utils
from joserfc.jwk import OKPKey

from kiosk.uplink.identity import Identity
from sync_agent.contract import envelope, receipts, topics
from sync_agent.contract.envelope import GENESIS, Place, Signed
from sync_agent.contract.receipts import Receipt
from sync_agent.contract.status import Birth
from sync_agent.contract.topics import Down, Up
from tests.certificates import Issued
from tests.mqtt import Speaker
from tests.system.centre import CASE, Centre

EPOCH: Final = "00000000000000ab"
WITHIN_S: Final = 20.0


class Hand:
    """One connection in a device's name."""

    def __init__(self, centre: Centre, who: Identity, will: bytes | None = None) -> None:
        """Connect, and listen for receipts.

        Args:
            centre: where to.
            who: whose name to use.
            will: state that the broker is to say when the line breaks.
        """
        self._who = who
        own, state = Issued(who.certificate, who.tls_key), topics.up(who.tenant, who.device, Up.STATE)
        last = (state, will) if will is not None else None
        self._speaker = Speaker(centre.broker, who.ca, own, client_id=who.device, will=last)
        self._speaker.subscribe(topics.down(who.tenant, who.device, Down.RECEIPT))

    def sign(
        self,
        seq: int,
        prev: str = GENESIS,
        *,
        epoch: str = EPOCH,
        at: datetime | None = None,
        boot: int = 1,
        key: OKPKey | None = None,
    ) -> Signed:
        """Return a record for some place in the chain, whatever is there already."""
        return envelope.write(
            CASE,
            None,
            record_id=str(uuid_utils.uuid7()),
            source=(self._who.tenant, self._who.device),
            time=at or datetime.now(UTC),
            place=Place(epoch, seq, prev),
            boot=boot,
            clock_age_s=5,
            signing_key=key or self._who.signing_key,
            registry_key=self._who.registry_key,
        )

    def chain(self, many: int, *, epoch: str = EPOCH, at: Sequence[datetime] = ()) -> list[Signed]:
        """Return a proper chain of records."""
        signed, prev = list[Signed](), GENESIS
        for number in range(many):
            signed.append(self.sign(number + 1, prev, epoch=epoch, at=at[number] if at else None))
            prev = signed[-1].digest
        return signed

    def say(self, *messages: bytes, what: Up = Up.RECORD, is_retained: bool = False, within_s: float = 10.0) -> None:
        """Send; return when the broker has acknowledged the last."""
        topic = topics.up(self._who.tenant, self._who.device, what)
        for message in messages[:-1]:
            self._speaker.send(topic, message)
        self._speaker.say(topic, messages[-1], is_retained=is_retained, within_s=within_s)

    def knock(self) -> None:
        """Return when an agent listens to this device: it has answered a birth, which the broker keeps for it."""
        who, nonce = self._who, secrets.token_hex(8)
        birth = Birth(boot=1, version="0", site=who.site, epoch=EPOCH, last_seq=0, last_digest=GENESIS, nonce=nonce)
        self._speaker.say(topics.up(who.tenant, who.device, Up.BIRTH), birth.model_dump_json().encode(), is_retained=True)
        self.until(lambda receipt: receipt.reconciles == nonce)

    def break_off(self) -> None:
        """Break the line, so that the broker says the will."""
        self._speaker.break_off()

    def until(self, true: Callable[[Receipt], bool], within_s: float = WITHIN_S) -> Receipt:
        """Return the first receipt of which something is true."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            try:
                _, message = self._speaker.hear()
            except queue.Empty:
                continue
            receipt = receipts.read(message, self._who.agent_keys[0], self._who.device)
            if true(receipt):
                return receipt
        raise AssertionError("no such receipt came")

    def until_ruled(self, *seqs: int, epoch: str = EPOCH, within_s: float = WITHIN_S) -> None:
        """Wait for the rules' answers to some records, in whatever order and receipts they come."""
        left = set(seqs)

        def is_all(receipt: Receipt) -> bool:
            if receipt.epoch == epoch:
                left.difference_update(ruling.seq for ruling in receipt.rulings)
            return not left

        self.until(is_all, within_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._speaker.close()
