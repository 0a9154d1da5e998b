"""What goes out when: packed on a backlog, within the window, again with growing pauses, and no record held up by another."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey

from kiosk.settings import UplinkSettings
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.sending import ALONE_AFTER, CUT_S, Sender, pause
from sync_agent.contract import envelope
from sync_agent.contract.codes import Fault
from sync_agent.contract.envelope import BATCH_MAX, MAX_BYTES, Place, Signed
from sync_agent.contract.kinds import Case, Cause
from sync_agent.contract.receipts import Receipt, Rejection, Ruling, Standing
from sync_agent.contract.suites import INTL_1
from sync_agent.contract.topics import DeviceId, Tenant
from tests.kiosk.uplink.filled import NOW, StillClock, receipt

SETTINGS = UplinkSettings(resend_s=30, retry_max_s=300, window=20, unanswered_s=300)
SOURCE = (Tenant("xz"), DeviceId("kiosk-01"))


@dataclass
class Post:
    """A sender with its outbox, and what went out so far."""

    outbox: Outbox
    clock: StillClock = field(default_factory=lambda: StillClock(age=None))
    signing_key: OKPKey = field(default_factory=lambda: OKPKey.generate_key("Ed25519"))
    sent: list[bytes] = field(default_factory=list)
    written: int = 0

    def __post_init__(self) -> None:
        self.sender = Sender(self.outbox, self, self.sent.append, SETTINGS, self.clock, random.Random(1))
        self.sender.connected()

    def write(self, count: int, *, step: str = "face") -> None:
        for _ in range(count):
            self.written += 1
            number = f"019aaf52-6f00-7cc0-8000-{self.written:012x}"
            self.outbox.add(number, "case", self.clock, partial(self._sign, step, number))

    def _sign(self, step: str, number: str, place: Place, _at: datetime) -> Signed:
        return envelope.write(
            Case(site="site-1", step=step, cause=Cause.HELP),
            None,
            record_id=number,
            source=SOURCE,
            time=NOW,
            place=place,
            boot=1,
            clock_age_s=None,
            signing_key=self.signing_key,
            registry_key=self.signing_key,
        )

    def out(self, after_s: float = 0.0) -> list[list[int]]:
        """Let time pass, send what is due, and return the sequences of each message that went out."""
        self.clock.seconds += after_s
        before = len(self.sent)
        self.sender.send_due()
        return [self.read(message) for message in self.sent[before:]]

    def read(self, message: bytes) -> list[int]:
        payloads = envelope.unwrap(message, self.signing_key)
        return [envelope.parse(payload, *SOURCE).event.seq for payload in payloads]

    def hear(self, upto: int, **rest: object) -> None:
        said = receipt(self.outbox, upto, **rest)
        self.sender.take(said, self.outbox.settle(said, NOW))


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        yield Post(outbox)


def run(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


# --- packing ------------------------------------------------------------------------------------------------------------


def test_one_record_goes_alone_exactly_as_it_was_signed(post: Post) -> None:
    post.write(1)
    assert post.out() == [[1]]
    assert post.sent == list(post.outbox.messages())


def test_a_backlog_goes_in_batches_under_one_signature_each_and_in_order(post: Post) -> None:
    post.write(45)
    assert post.out() == [run(1, 20), run(21, 40), run(41, 45)]
    assert all(len(message) <= MAX_BYTES for message in post.sent)


def test_no_message_is_over_the_limit_however_long_the_records(post: Post) -> None:
    post.write(25, step="长" * 60)
    groups = post.out()
    assert [seq for group in groups for seq in group] == run(1, 25)
    assert all(len(message) <= MAX_BYTES for message in post.sent)


def test_long_records_make_smaller_batches(post: Post) -> None:
    def long(place: Place, _at: datetime) -> Signed:
        payload = f"{place.seq}".encode() * 20_000
        return Signed(INTL_1.sign(payload, post.signing_key, envelope.MEDIA_TYPE), f"{place.seq:064x}")

    for number in range(6):
        post.outbox.add(f"id-{number}", "case", post.clock, long)
    post.sender.send_due()
    assert [len(envelope.unwrap(message, post.signing_key)) for message in post.sent] == [2, 2, 2]
    assert max(map(len, post.sent)) <= MAX_BYTES


def test_a_damaged_record_goes_as_it_is_and_its_neighbours_with_it(post: Post) -> None:
    post.write(1)
    post.outbox.add("id-2", "case", post.clock, lambda _place, _at: Signed(b"damaged", "2" * 64))
    post.write(1)
    post.sender.send_due()
    assert post.sent == list(post.outbox.messages())


def test_a_batch_is_signed_with_the_key_in_force_and_the_records_keep_theirs(post: Post) -> None:
    post.write(2)
    old, post.signing_key = post.signing_key, OKPKey.generate_key("Ed25519")
    assert post.out() == [[1, 2]]
    for message in post.outbox.messages():
        assert envelope.unwrap(message, old)


# --- window and pauses --------------------------------------------------------------------------------------------------


def test_no_more_than_the_window_is_under_way_and_a_receipt_opens_it(post: Post) -> None:
    post.write(SETTINGS.window * BATCH_MAX + 50)
    assert len(post.out()) == SETTINGS.window
    assert post.out(after_s=1) == []
    post.hear(40)
    assert post.out() == [run(401, 420), run(421, 440)]


def test_what_has_no_receipt_goes_again_after_growing_pauses_and_stops_with_it(post: Post) -> None:
    post.write(1)
    assert post.out() == [[1]]
    assert post.out(after_s=29.9) == []
    assert post.out(after_s=0.2) == [[1]]
    times = 0
    for _ in range(600):
        times += len(post.out(after_s=1))
    assert 3 <= times <= 30
    post.hear(1, rulings=[Ruling(seq=1, digest=_digest(post, 1), standing=Standing.ACCEPTED)])
    assert not any(post.out(after_s=60) for _ in range(60))


def test_pauses_are_jittered_in_full_below_a_ceiling_that_doubles_to_its_end() -> None:
    dice = random.Random(2)
    assert pause(0, SETTINGS, dice) == 30
    for tries, ceiling in ((1, 60), (2, 120), (3, 240), (4, 300), (1000, 300)):
        pauses = [pause(tries, SETTINGS, dice) for _ in range(500)]
        assert 0 < min(pauses) < ceiling * 0.1
        assert ceiling * 0.9 < max(pauses) <= ceiling


def test_after_a_reconnection_everything_without_receipt_is_due_at_once(post: Post) -> None:
    post.write(3)
    assert post.out() == [[1, 2, 3]]
    post.sender.disconnected()
    post.sender.connected()
    assert post.out() == [[1, 2, 3]]


def test_what_was_sent_while_no_sync_agent_was_there_goes_again_when_one_has_compared(post: Post) -> None:
    post.write(2)
    assert post.out() == [[1, 2]]
    assert post.out(after_s=5) == []  # the control: without the comparison it waits for its pause
    post.sender.compared()
    assert post.out() == [[1, 2]]


def test_what_is_on_its_way_while_the_centre_compares_is_not_sent_twice(post: Post) -> None:
    post.write(2)
    post.out()
    post.clock.seconds += 1
    post.sender.compared()
    assert post.out() == []


def test_a_received_record_is_asked_about_ten_times_more_slowly_until_it_is_ruled_on(post: Post) -> None:
    post.write(2)
    post.out()
    post.hear(2)
    asked = [post.out(after_s=10) for _ in range(300)]
    assert [group for groups in asked for group in groups] == [[1, 2]] * (count := sum(map(bool, asked)))
    assert 1 <= count <= 12
    rulings = [Ruling(seq=row.seq, digest=_digest(post, row.seq), standing=Standing.ACCEPTED) for row in post.outbox.listing()]
    post.hear(2, rulings=rulings)
    assert not any(post.out(after_s=600) for _ in range(20))


# --- poison -------------------------------------------------------------------------------------------------------------


def test_a_batch_that_is_rejected_whole_goes_again_one_by_one(post: Post) -> None:
    post.write(4)
    post.out()
    post.hear(0, rejections=[Rejection(message_sha256=sha256(post.sent[0]).hexdigest(), fault=Fault.BAD_CONTENT)])
    assert post.out() == [[1], [2], [3], [4]]
    post.hear(1, rejections=[Rejection(message_sha256=sha256(post.sent[2]).hexdigest(), fault=Fault.BAD_CONTENT)])
    post.hear(4, gaps=[[2, 2]])
    assert [row.progress.state for row in post.outbox.listing()] == ["received", "rejected", "received", "received"]
    assert post.outbox.waiting(10) == []


def test_a_rejection_that_names_its_record_leaves_the_rest_of_the_batch_under_way(post: Post) -> None:
    post.write(3)
    post.out()
    whole = sha256(post.sent[0]).hexdigest()
    post.hear(3, gaps=[[2, 2]], rejections=[Rejection(message_sha256=whole, digest=_digest(post, 2), fault=Fault.BAD_CONTENT)])
    assert [row.progress.state for row in post.outbox.listing()] == ["received", "rejected", "received"]


def test_the_rejection_of_an_unknown_message_changes_nothing(post: Post) -> None:
    post.write(2)
    post.out()
    post.hear(0, rejections=[Rejection(message_sha256="0" * 64, fault=Fault.NOT_A_RECORD)])
    assert post.out() == []


def test_a_record_nobody_answers_goes_alone_and_frees_the_window(post: Post) -> None:
    """The centre answers all but the first twenty, about which it says nothing: a fault of its own."""
    post.write(400 + 60)
    post.out()
    post.hear(400, gaps=[[1, 20]])
    for _ in range(900):
        groups = post.out(after_s=1)
        if groups:
            post.hear(max(400, *(seq for group in groups for seq in group)), gaps=[[1, 20]])
    assert post.outbox.depth(NOW).count == 20
    tries = [post.read(message) for message in post.sent if 1 in post.read(message)]
    assert tries[:ALONE_AFTER] == [run(1, 20)] * ALONE_AFTER
    assert set(map(len, tries[ALONE_AFTER:])) == {1}
    post.write(5)
    assert run(461, 465) in post.out()


# --- a centre that never answers ------------------------------------------------------------------------------------------


def test_five_minutes_without_any_receipt_are_noticed_and_one_receipt_ends_it(post: Post) -> None:
    post.write(1)
    for _ in range(299):
        post.out(after_s=1)
        assert not post.sender.is_unanswered
    post.out(after_s=2)
    assert post.sender.is_unanswered
    post.hear(0)
    assert not post.sender.is_unanswered


def test_with_a_receipt_now_and_then_nothing_is_noticed(post: Post) -> None:
    post.write(1)
    for second in range(1000):
        post.out(after_s=1)
        if second % 250 == 0:
            post.hear(0)
        assert not post.sender.is_unanswered


def test_nothing_to_send_is_no_silence(post: Post) -> None:
    assert not any(post.out(after_s=100) or post.sender.is_unanswered for _ in range(10))


def test_time_without_a_connection_does_not_count_but_time_before_it_does(post: Post) -> None:
    post.write(1)
    for _ in range(200):
        post.out(after_s=1)
    post.sender.disconnected()
    post.clock.seconds += 10_000
    post.sender.connected()
    post.out()
    assert not post.sender.is_unanswered
    for _ in range(101):
        post.out(after_s=1)
    assert post.sender.is_unanswered


@pytest.mark.parametrize(("connected_s", "is_noticed"), [(0.1, True), (CUT_S + 1, False)])
def test_a_line_that_is_cut_on_every_record_is_noticed_and_one_that_is_bad_is_not(
    post: Post, connected_s: float, is_noticed: bool
) -> None:
    post.write(1)
    for _ in range(5):
        post.sender.connected()
        assert len(post.out()) == 1
        assert not post.sender.is_unanswered
        post.clock.seconds += connected_s
        post.sender.disconnected()
        post.clock.seconds += 70
    assert post.sender.is_unanswered is is_noticed


def test_the_answer_to_a_birth_is_no_answer_to_a_record(post: Post) -> None:
    post.write(1)
    for _ in range(310):
        post.out(after_s=1)
        post.hear(0, reconciles="of-the-birth")
    assert post.sender.is_unanswered


# --- epochs -------------------------------------------------------------------------------------------------------------


def test_records_of_a_former_epoch_go_out_first_and_never_in_one_message_with_the_others(post: Post) -> None:
    post.write(2)
    former = post.outbox.epoch
    post.outbox.settle(receipt(post.outbox, 9), NOW)
    post.write(3)
    assert post.out() == [[1, 2], [1, 2, 3]]
    poison = Rejection(message_sha256=sha256(post.sent[0]).hexdigest(), fault=Fault.BAD_CONTENT)
    said = Receipt(device="kiosk-01", epoch=former, upto=0, rejections=(poison,), at=NOW)
    post.sender.take(said, post.outbox.settle(said, NOW))
    assert post.out() == [[1], [2]]


def _digest(post: Post, seq: int) -> str:
    for message in post.outbox.messages():
        payload = envelope.payload_of(message)
        if envelope.parse(payload, *SOURCE).event.seq == seq:
            return sha256(payload).hexdigest()
    raise LookupError(seq)
