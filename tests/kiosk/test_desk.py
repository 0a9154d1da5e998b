"""The counter between visits and at their ends: true words only, nothing kept, no failing part keeps another from forgetting."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from joserfc.jwk import OKPKey
from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from kiosk.cards.document import Document, Portrait
from kiosk.screens.pages import TAKE_BACK, Attract, Consent, PresentCard, Result, Sign, Touch, Word, Working
from kiosk.settings import VisitSettings
from kiosk.uplink import outbox as outbox_module
from kiosk.uplink.faults import OutboxDamaged, OutboxFull
from kiosk.uplink.line import KioskEnd, Message, UplinkEnd, Written
from kiosk.uplink.link import LinkState, Trouble
from kiosk.uplink.outbox import Progress
from kiosk.waiting import beside
from sync_agent.contract import receipts
from sync_agent.contract.codes import Code, Fault
from sync_agent.contract.kinds import CardKind, Case, Cause, Comparison, Condition, Liveness, Method, Outcome, Verification
from sync_agent.contract.kinds import Consent as Agreed
from sync_agent.contract.receipts import Receipt, Rejection, Ruling, Standing
from tests.kiosk.parts import FACTS, NOW, Hall, hall, holder, keys_of

VISIT = VisitSettings(idle_s=60, result_s=60, receipt_s=5)
UP = LinkState(True, Trouble.NONE)
CASE = Case(site="site-1", step="card", cause=Cause.HELP)


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Hall]:
    with hall(tmp_path) as counter:
        yield counter


# --- what became of the record --------------------------------------------------------------------------------------

Answering = Callable[[Hall], Receipt]


def ruled(standing: Standing, code: Code | None = None, *, effective: bool = False, case: str | None = None) -> Answering:
    def receipt(at: Hall) -> Receipt:
        tail = at.outbox.tail()
        ruling = Ruling(
            seq=tail.last_seq,
            digest=tail.last_digest,
            standing=standing,
            code=code,
            effective_from=NOW if effective else None,
            case=case,
        )
        return Receipt(device="kiosk-01", epoch=tail.epoch, upto=tail.last_seq, rulings=(ruling,), at=NOW)

    return receipt


def held(at: Hall) -> Receipt:
    tail = at.outbox.tail()
    return Receipt(device="kiosk-01", epoch=tail.epoch, upto=tail.last_seq, at=NOW)


def thrown_out(at: Hall) -> Receipt:
    (message,) = at.outbox.messages()
    rejection = Rejection(message_sha256=sha256(message).hexdigest(), fault=Fault.BAD_SIGNATURE)
    return Receipt(device="kiosk-01", epoch="", upto=0, rejections=(rejection,), at=NOW)


def on_other_bytes(at: Hall) -> Receipt:
    ruling = Ruling(seq=1, digest="0" * 64, standing=Standing.ACCEPTED, effective_from=NOW)
    return Receipt(device="kiosk-01", epoch=at.outbox.epoch, upto=0, rulings=(ruling,), at=NOW)


@asynccontextmanager
async def centre(folder: Path, answers: Answering | None, visit: VisitSettings) -> AsyncIterator[Hall]:
    """A counter on a real line to a centre that answers every record with a signed receipt, or never."""
    heard: asyncio.Queue[Message] = asyncio.Queue()
    key = OKPKey.generate_key("Ed25519")
    path = folder / "uplink.sock"
    end, line = UplinkEnd(path), KioskEnd(path)
    await end.start(heard.put_nowait)
    end.link_changed(UP)

    async def answer(at: Hall) -> None:
        while True:
            if isinstance(await heard.get(), Written) and answers is not None:
                receipt = receipts.read(receipts.write(answers(at), key), key, at.identity.device)
                end.settled(len(at.outbox.settle(receipt, NOW)))

    with hall(folder, visit=visit, line=line) as at:
        async with beside(line.run()), beside(answer(at)):
            while not line.link.is_up:
                await line.news()
            yield at
    await end.stop()


async def told(at: Hall, outcome: Outcome = Outcome.MATCH) -> Result:
    """File a verification and return the page on which its visit ends."""

    async def visit() -> None:
        async with at.desk.visit():
            at.reader.put()
            document = await at.reader.read()
            consent = Agreed(notice="3", compare=False, keep_photo=False, at=NOW)
            facts = Verification(site="site-1", card=FACTS, consent=consent, method=Method.MANUAL, outcome=outcome)
            await at.desk.answer(await at.desk.record(facts, document.holder), document, outcome)

    async with asyncio.timeout(5), beside(visit()) as visiting:
        page = await at.window.until(Result)
        at.window.touch(Touch.DONE)
        await visiting
    assert isinstance(page, Result)
    assert [type(page) for page in at.window.shown] == [Working, Result], "no word before the answer"
    return page


@dataclass(frozen=True)
class Told:
    answers: Answering | None
    words: frozenset[Word]
    sign: Sign
    advice: str
    number: str = ""
    receipt_s: float = 5


RECEIVED = frozenset({Word.RECEIVED})


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name)
        for name, case in {
            "effective": Told(ruled(Standing.ACCEPTED, effective=True), frozenset(Word), Sign.TICK, "result.verified.advice"),
            "accepted": Told(ruled(Standing.ACCEPTED), RECEIVED | {Word.ACCEPTED}, Sign.TICK, "result.verified.advice"),
            "refused": Told(ruled(Standing.REFUSED, Code.CARD_EXPIRED), RECEIVED, Sign.CROSS, "result.refused.CARD_EXPIRED"),
            "in review": Told(ruled(Standing.IN_REVIEW, case="000007"), RECEIVED, Sign.PERSON, "result.review.advice", "000007"),
            "received": Told(held, RECEIVED, Sign.CLOCK, "result.received.advice", receipt_s=0.1),
            "rejected": Told(thrown_out, frozenset(), Sign.WARNING, "result.rejected.advice"),
            "silent": Told(None, frozenset(), Sign.CLOCK, "result.waiting.advice", receipt_s=0.05),
            "answered on other bytes": Told(on_other_bytes, frozenset(), Sign.CLOCK, "result.waiting.advice", receipt_s=0.1),
        }.items()
    ],
)
async def test_no_word_is_lit_before_it_is_true(case: Told, tmp_path: Path) -> None:
    visit = VisitSettings(result_s=60, receipt_s=case.receipt_s)
    async with centre(tmp_path, case.answers, visit) as at:
        page = await told(at)
        own_number = f"kiosk-01-{at.outbox.epoch[:4]}-1"
    assert (page.words, page.sign, page.advice.key) == (case.words, case.sign, case.advice)
    assert page.number == (case.number or own_number)


async def test_without_a_connection_nobody_waits_and_the_number_is_told(tmp_path: Path) -> None:
    with hall(tmp_path, visit=VISIT) as at:
        page = await told(at)
    assert (page.words, page.advice.key) == (frozenset(), "result.kept.advice")
    assert page.advice.args["id"] == page.number


# --- before and after a visit -----------------------------------------------------------------------------------------


async def test_a_card_or_a_touch_begins_a_visit(at: Hall) -> None:
    async with asyncio.timeout(5), beside(at.serve()), beside(at.take_back()):
        await at.window.until(Attract)
        at.reader.put()
        await at.window.on("Consent", Touch.LEAVE)
        await at.is_over()
        at.window.touch(Touch.START)
        await at.window.on("card.place", Touch.LEAVE)
        await at.window.until(Attract)


async def test_a_card_left_on_the_reader_is_to_be_taken_back_before_anybody_is_served(at: Hall) -> None:
    at.reader.put()
    async with asyncio.timeout(5), beside(at.serve()):
        page = await at.window.until(PresentCard)
        assert isinstance(page, PresentCard)
        assert page.state.key == TAKE_BACK
        at.reader.lift()
        await at.window.until(Attract)
        at.reader.put()
        await at.window.until(Consent)


async def test_at_rest_the_camera_is_closed_and_nobody_is_remembered(at: Hall) -> None:
    async with asyncio.timeout(5), beside(at.desk.await_visitor()):
        await at.window.until(Attract)
    assert at.camera.openings == 0
    assert at.reader.portraits == []


async def test_nothing_of_a_visit_goes_on_after_it(at: Hall) -> None:
    before = asyncio.all_tasks()
    async with asyncio.timeout(5):
        async with beside(at.serve()), beside(at.take_back()):
            await at.window.on("Attract", Touch.START)
            await at.window.says("card.place")
            at.reader.put()
            await at.window.on("Consent", Touch.TICK_COMPARE)
            at.window.touch(Touch.AGREE)
            await at.window.on("face.hint.no-face", Touch.LEAVE)
            await at.is_over()
    assert asyncio.all_tasks() == before


# --- the wipe -----------------------------------------------------------------------------------------------------------


async def stopped(at: Hall) -> None:
    """Stop the kiosk while a face is being looked at."""
    async with asyncio.timeout(5):
        async with beside(at.serve()) as serving:
            await at.window.on("Attract", Touch.START)
            await at.window.says("card.place")
            at.reader.put()
            await at.window.on("Consent", Touch.TICK_COMPARE)
            at.window.touch(Touch.AGREE)
            await at.window.says("face.hint.no-face")
            assert at.remains(), "somebody is being looked at"
            serving.cancel()
            await asyncio.wait({serving})


async def test_a_kiosk_that_is_stopped_in_the_middle_forgets_first(at: Hall) -> None:
    await stopped(at)
    assert at.remains() == []


class Failing(Exception):
    """A part that cannot even be asked to forget."""


async def fails() -> None:
    raise Failing


def fails_at_once() -> None:
    raise Failing


@pytest.mark.parametrize("part", ["camera", "face", "screen"])
async def test_a_part_that_fails_to_forget_keeps_no_other_from_it_and_ends_the_kiosk(
    part: str, at: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    match part:
        case "camera":
            monkeypatch.setattr(at.camera, "close", fails)
        case "face":
            monkeypatch.setattr(at.face, "forget", fails)
        case _:
            monkeypatch.setattr(at.window, "wipe", fails_at_once)
    with pytest.raises(Failing):
        async with at.desk.visit():
            await at.camera.open()
    assert (at.camera.is_open, at.face.forgot, at.window.wiped) == (part == "camera", part != "face", part != "screen")


# --- a record that cannot be kept -------------------------------------------------------------------------------------


@contextmanager
def small_disk() -> Iterator[None]:
    """Every database opened meanwhile takes some pages and then says that the disk is full, as SQLite says it."""

    def shrink(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.cursor().execute("PRAGMA max_page_count=24")

    event.listen(Engine, "connect", shrink)
    try:
        yield
    finally:
        event.remove(Engine, "connect", shrink)


def fill(at: Hall) -> None:
    with pytest.raises(OutboxFull):
        for _ in range(200):
            at.pen.write(CASE, None)


@pytest.mark.parametrize("touch", [Touch.OTHER_WAY, Touch.HELP])
@pytest.mark.parametrize("is_full", [True, False])
async def test_a_record_for_which_there_is_no_room_is_not_passed_over(touch: Touch, is_full: bool, tmp_path: Path) -> None:
    with small_disk(), hall(tmp_path) as at:
        if is_full:
            fill(at)
        before = at.outbox.tail().last_seq
        async with asyncio.timeout(5), beside(at.serve()), beside(at.take_back()):
            await at.window.until(Attract)
            at.reader.put()
            await at.window.on("Consent", touch)
            await at.is_over()
        assert ({"outbox.full", "fault.advice"} <= at.read_last()) is is_full
        assert at.outbox.tail().last_seq == before + (not is_full)
        assert at.remains() == []


@pytest.mark.parametrize("is_damaged", [True, False])
async def test_a_record_that_is_kept_is_never_said_not_to_be(at: Hall, monkeypatch: pytest.MonkeyPatch, is_damaged: bool) -> None:
    """The disk fails between the record and the question how far it has come."""

    def fails(*_: object) -> Progress:
        raise OutboxDamaged("reading the outbox failed")

    async with asyncio.timeout(5), beside(at.serve()), beside(at.take_back()):
        await at.window.until(Attract)
        if is_damaged:
            monkeypatch.setattr(at.outbox, "progress", fails)
        at.reader.put()
        await at.window.on("Consent", Touch.OTHER_WAY)
        await at.is_over()
    assert "result.kept.advice" in at.read_last()
    assert "outbox.damaged" not in at.read_last()


async def test_an_outbox_that_stays_locked_is_said_and_the_next_try_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "BUSY_MS", 20)
    with hall(tmp_path) as at:
        async with asyncio.timeout(5), beside(at.serve()), beside(at.take_back()):
            await at.window.until(Attract)
            at.reader.put()
            await at.window.says("Consent")
            with locked(tmp_path):
                at.window.touch(Touch.OTHER_WAY)
                await at.is_over()
            assert {"outbox.busy", "fault.advice"} <= at.read_last()
            assert at.records() == []
            at.window.wiped = 0
            at.reader.put()
            await at.window.on("Consent", Touch.OTHER_WAY)
            await at.is_over()
        assert len(at.records()) == 1


async def test_while_the_outbox_is_locked_the_loop_goes_on_and_the_record_is_written_when_it_is_free(tmp_path: Path) -> None:
    with hall(tmp_path) as at:
        with locked(tmp_path):
            writing = asyncio.ensure_future(at.desk.record(Case(site=at.desk.site, step="face", cause=Cause.HELP)))
            turns = 0
            async with asyncio.timeout(5):
                while turns < 20:  # in the loop's own thread the lock would never be let go
                    await asyncio.sleep(0)
                    turns += 1
            assert not writing.done()
        async with asyncio.timeout(10):
            await writing
        assert len(at.records()) == 1


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Another process holds the outbox."""
    connection = sqlite3.connect(next(folder.rglob("outbox.db")), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


# --- touches ----------------------------------------------------------------------------------------------------------


async def test_a_second_tap_on_trying_again_does_not_pass_over_the_next_page(tmp_path: Path) -> None:
    with hall(tmp_path, 0.9, visit=VisitSettings(idle_s=60, result_s=60)) as at:
        async with asyncio.timeout(5), beside(at.serve()), beside(at.take_back()):
            await at.window.until(Attract)
            at.reader.put()
            await at.window.on("Consent", Touch.TICK_COMPARE)
            at.window.touch(Touch.AGREE)
            await at.window.says("result.no-match.headline")
            at.camera.is_there = False
            at.window.touch(Touch.AGAIN, Touch.AGAIN)
            await at.window.on("camera.gone", Touch.DONE)
            await at.window.on("result.kept.advice", Touch.DONE)
            await at.is_over()
        said = [keys_of(page) for page in at.window.shown]
        assert sum("camera.gone" in keys for keys in said) == 1


# --- eyes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distance", "to_other", "outcome"),
    [(0.9, 0.2, Outcome.WRONG_PERSON), (0.9, 0.9, Outcome.NO_MATCH), (0.2, 0.9, Outcome.MATCH)],
)
async def test_the_other_person_of_a_chain_is_told_from_a_stranger(
    distance: float, to_other: float, outcome: Outcome, tmp_path: Path
) -> None:
    """S33."""
    portrait = Portrait(np.zeros((126, 102, 3), np.uint8), "test")
    both = Document(holder(), FACTS, portrait), Document(holder(), FACTS, portrait)
    with hall(tmp_path, distance) as at:
        at.face.others.append(to_other)
        async with asyncio.timeout(5):
            comparison = await at.desk.compare(*both)
        assert (comparison.outcome, comparison.condition) == (outcome, Condition.CHIP)
        assert at.face.asked == [(Condition.CHIP, True)]


async def test_who_cannot_turn_says_so_for_themselves_and_not_for_the_other_person_of_a_chain(tmp_path: Path) -> None:
    """P15: it holds for another try of the same person, which is the control."""
    one, other = (Document(holder(), FACTS, Portrait(np.zeros((126, 102, 3), np.uint8), "test")) for _ in range(2))

    async def gently(at: Hall, document: Document) -> Comparison:
        async with beside(at.desk.compare(document)) as made:
            await at.window.on("face.private", Touch.GENTLE)
            return await made

    with hall(tmp_path, None, 0.2, 0.2, None, 0.2, turns=2) as at:
        async with asyncio.timeout(5):
            first = await gently(at, one)
            again = await at.desk.compare(one)
            second = await gently(at, other)
        assert [each.liveness for each in (first, again, second)] == [Liveness.ATTENDANT] * 3


@pytest.mark.parametrize("kind", CardKind)
async def test_every_card_there_is_brings_the_portrait_of_a_chip(kind: CardKind, tmp_path: Path) -> None:
    facts = FACTS.model_copy(update={"kind": kind})
    with hall(tmp_path, 0.2) as at:
        async with asyncio.timeout(5):
            await at.desk.compare(Document(holder(), facts, Portrait(np.zeros((126, 102, 3), np.uint8), "test")))
        assert at.face.asked == [(Condition.CHIP, False)]
