"""Receipts in quick succession are said as one, and none of what they say is lost."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from joserfc.jwk import OKPKey

from sync_agent.contract import receipts
from sync_agent.contract.codes import Fault
from sync_agent.contract.receipts import Receipt, Rejection, Ruling, Standing
from sync_agent.contract.topics import DeviceId, Tenant
from sync_agent.ingest import postman
from sync_agent.ingest.answers import Office, Post
from sync_agent.ingest.postman import Postman, joined

KEY = OKPKey.generate_key("Ed25519")
DEVICE = DeviceId("kiosk-1")
NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
OFFICE = Office(Tenant("xz"), lambda: KEY, lambda: NOW)
WITHIN_S = 10.0

Said = queue.SimpleQueue[Receipt]


def receipt(upto: int, *judged: int, device: str = DEVICE, epoch: str = "aa", reconciles: str = "", **other: object) -> Receipt:
    rulings = tuple(Ruling(seq=seq, digest=f"{seq}", standing=Standing.ACCEPTED) for seq in judged)
    plain = Receipt(device=device, epoch=epoch, upto=upto, rulings=rulings, reconciles=reconciles, at=NOW)
    return plain.model_copy(update=other)


def tell(running: Postman, *given: Receipt) -> None:
    running.deliver([Post(each, OFFICE) for each in given])


@pytest.fixture
def said() -> Said:
    return queue.SimpleQueue()


@pytest.fixture(autouse=True)
def _two_go_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postman, "AT_ONCE", 2)


@pytest.fixture
def running(said: Said) -> Iterator[Postman]:
    def say(_topic: str, payload: bytes, _shard: int) -> None:
        said.put(receipts.read(payload, KEY, DeviceId(_topic.split("/")[4])))

    made = Postman(say)
    made.start()
    yield made
    made.stop()


def test_the_first_few_receipts_go_at_once_and_the_next_ones_go_as_one(
    running: Postman, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postman, "GAP_S", 0.05)
    for upto in (1, 2):
        tell(running, receipt(upto))
        assert said.get_nowait().upto == upto
    for upto in (3, 4, 5):
        tell(running, receipt(upto, upto))
    gathered = said.get(timeout=WITHIN_S)
    assert (gathered.upto, [ruling.seq for ruling in gathered.rulings]) == (5, [3, 4, 5])


def test_after_a_quiet_while_receipts_go_at_once_again(running: Postman, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postman, "GAP_S", 0.0)
    for upto in range(1, 6):
        tell(running, receipt(upto))
        assert said.get_nowait().upto == upto
    monkeypatch.setattr(postman, "GAP_S", 60.0)  # the control: nothing has become quiet
    for upto in range(6, 9):
        tell(running, receipt(upto))
    assert said.qsize() == 2


def test_a_receipt_to_one_device_does_not_hold_up_another(running: Postman, said: Said) -> None:
    tell(running, receipt(1), receipt(1, device="kiosk-2"))
    assert {said.get_nowait().device, said.get_nowait().device} == {"kiosk-1", "kiosk-2"}


def test_the_answer_to_a_birth_goes_alone_and_at_once(running: Postman, said: Said) -> None:
    tell(running, receipt(1), receipt(2))
    tell(running, receipt(3), receipt(3, reconciles="a nonce", gaps=((4, 9),)))
    assert [said.get_nowait().reconciles for _ in range(3)] == ["", "", "a nonce"]


def test_what_waits_is_said_at_the_end(running: Postman, said: Said) -> None:
    tell(running, receipt(1), receipt(2), receipt(3))
    assert said.qsize() == 2
    running.stop()
    assert [said.get_nowait().upto for _ in range(3)] == [1, 2, 3]


def test_a_receipt_with_many_answers_does_not_wait(running: Postman, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postman, "MOST", 3)
    tell(running, receipt(1), receipt(2))
    tell(running, receipt(4, 1, 2))
    assert said.qsize() == 2
    tell(running, receipt(5, 3))
    assert [(each.upto, len(each.rulings)) for each in (said.get_nowait() for _ in range(3))] == [(1, 0), (2, 0), (5, 3)]


def test_what_is_too_long_for_one_message_is_said_in_several(running: Postman, said: Said) -> None:
    tell(running, receipt(900, *range(1, 901)))
    told = [said.get_nowait() for _ in range(said.qsize())]
    assert len(told) > 1
    assert [ruling.seq for part in told for ruling in part.rulings] == list(range(1, 901))


def test_a_joined_receipt_says_what_both_say_and_takes_the_better_account_of_what_is_held() -> None:
    fault = Rejection(message_sha256="ff", fault=Fault.EQUIVOCATION)
    older = receipt(9, 1, rejections=(fault,), gaps=((4, 5),))
    newer = receipt(8, 2, rejections=(fault,), at=NOW + timedelta(seconds=1))
    both = joined(older, newer)
    assert (both.upto, both.gaps, both.at) == (9, ((4, 5),), newer.at)
    assert [ruling.seq for ruling in both.rulings] == [1, 2]
    assert both.rejections == (fault,)
    assert joined(receipt(9, gaps=((4, 5),)), receipt(9, gaps=((5, 5),))).gaps == ((5, 5),)
