"""The counter a journey works at: a card, a pair of eyes, a screen, and a pen that writes records.

Deadlines, cancellation, the failsafe and the wipe live in `Desk.visit` and nowhere else. A journey touches the world only through
the desk it is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final, assert_never

import structlog

from kiosk.answers import not_passed, result, slip_standing
from kiosk.cameras.base import Camera, CameraGone
from kiosk.cards.document import Document
from kiosk.cards.reader import CardFault, CardReader, ReaderStatus
from kiosk.clock import Clock
from kiosk.face.result import FaceFault
from kiosk.face.verify import Judge, verify
from kiosk.looking import BEGIN, Looking
from kiosk.screens import pages
from kiosk.screens.pages import Sign, Squares, Text, Touch
from kiosk.screens.qr import squares
from kiosk.settings import Settings
from kiosk.uplink.faults import OutboxFault
from kiosk.uplink.line import KioskEnd
from kiosk.uplink.outbox import KEPT, Filed, Outbox, Progress
from kiosk.uplink.pen import Pen
from kiosk.uplink.store import State
from kiosk.waiting import HelpWanted, Left, Screen, Waiting, beside
from sync_agent.contract.kinds import CardKind, Case, Cause, Comparison, Condition, Consent, Outcome, PartState
from sync_agent.contract.masking import masked_name, masked_number
from sync_agent.contract.parts import Facts, Part
from sync_agent.contract.slip import Standing

log = structlog.get_logger(__name__)

PREVIEW_S: Final = 1 / 60
"""How often the camera is asked for a new frame, seconds."""

CARD_TRIES: Final = 3
"""How often a card is tried before the visitor is sent to a person."""


MORE_TIME: Final = 2
"""By this factor who asks for the gentle way has longer (P15)."""


class PartLost(Exception):
    """A part the visit needs does not work; there is another way. `message` is what the visitor reads."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(code)
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class Counter:
    """The parts of one desk."""

    reader: CardReader
    camera: Camera
    face: Judge
    screen: Screen
    pen: Pen
    outbox: Outbox
    line: KioskEnd
    clock: Clock


class Desk:
    """One counter. One visit at a time."""

    def __init__(self, counter: Counter, settings: Settings, site: str) -> None:
        self._parts = counter
        self._settings = settings
        self._visitor = Waiting(counter.screen, settings.visit)
        self._step = ""
        self._gently = asyncio.Event()
        self._compared: Document | None = None
        self.site = site
        self.tries = settings.face.tries

    # --- the visit ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def visit(self) -> AsyncIterator[None]:
        """Hold one visit. However it ends, what it left behind is wiped.

        A failure of a journey is logged with its cause and shown as a fault of the kiosk, never as an exception text.
        """
        log.info("visit.begun")
        try:
            try:
                yield
            except HelpWanted:
                await self._open_case()
            except CardFault as fault:
                await self._say_fault(fault.message, fault.code)
            except OutboxFault as fault:
                await self._say_not_kept(fault)
        except Left:
            log.info("visit.left", step=self._step)
        except Exception as failure:
            log.exception("visit.failed", step=self._step, failure=type(failure).__name__)
            await self._say_fault("fault.headline", "KIOSK-01")
        finally:
            await self.wipe()
            log.info("visit.ended")

    async def wipe(self) -> None:
        """Forget the visitor: texts and touches first, then frames and vectors (P05).

        One that fails does not keep the others from it. Its failure is raised, so that the process ends and its memory with it.
        """
        self._step = ""
        self._gently.clear()
        self._compared = None
        async with AsyncExitStack() as last_first:
            last_first.push_async_callback(self._close_eyes)
            last_first.callback(self._parts.screen.wipe)

    async def await_visitor(self) -> None:
        """Rest until somebody puts a card down or touches start. A card left there is to be taken back first (S13)."""
        if self._parts.reader.status.has_card:
            self._parts.screen.show(pages.PresentCard(state=Text(pages.TAKE_BACK)))
            await self._reader_is(_is_empty)
        self._parts.screen.show(pages.Attract())
        async with beside(self._reader_is(_holds_card)) as card, beside(self._parts.screen.touched()) as touch:
            await asyncio.wait({card, touch}, return_when=asyncio.FIRST_COMPLETED)

    def out_of_service(self, reason: Text, code: str, device: str) -> None:
        """Say that nothing works now, why, and where to go."""
        self._parts.screen.show(pages.OutOfService(reason=reason, code=code, device=device))

    # --- what a journey can do ---------------------------------------------------------------------------------------

    async def read_card(self) -> Document:
        """Have a card put down and read it (S07): no button, and a reason when it does not work (S13).

        Raises:
            CardFault: it did not work after three tries, or trying again does not help.
            Left: the visitor went, or nobody is there any more.
        """
        self._step = "card"
        fault: CardFault | None = None
        for left in reversed(range(CARD_TRIES)):
            await self._present_card(fault)
            self._parts.screen.show(pages.PresentCard(state=Text("card.reading"), reading=True))
            try:
                return await self._visitor.while_looking(self._parts.reader.read(), _lets_be)
            except CardFault as err:
                log.warning("card.not-read", code=err.code, reason=str(err), left=left)
                if left == 0 or not err.retry:
                    raise
                fault = err
        raise AssertionError("unreachable: the last try returns or raises")

    async def ask_consent(self) -> Consent:
        """Show the notice and ask for each purpose separately (P01, P02); refusing is of equal standing (P03, P04).

        Raises:
            Left: nobody is there any more.
        """
        self._step = "consent"
        notice = self._settings.notice
        page = pages.Consent(compare=False, keep_photo=False, controller=notice.controller, contact=notice.contact)
        while True:
            match await self._visitor.ask(page):
                case Touch.TICK_COMPARE:
                    page = pages.Consent(not page.compare, page.keep_photo, page.controller, page.contact)
                case Touch.TICK_PHOTO:
                    page = pages.Consent(page.compare, not page.keep_photo, page.controller, page.contact)
                case Touch.AGREE if page.compare:
                    break
                case Touch.OTHER_WAY:
                    page = pages.Consent(False, False, page.controller, page.contact)
                    break
                case _:
                    continue
        return Consent(notice=notice.version, compare=page.compare, keep_photo=page.keep_photo, at=self._parts.clock.now())

    async def compare(self, document: Document, other: Document | None = None) -> Comparison:
        """Compare the person in front of the camera with the portrait of a card, once (S11).

        The camera is open only for this, and frames and vectors are gone when it returns (P05). Who says that they cannot turn
        their head is not asked to again, and has more time (P15); the other person of a chain is asked for themselves.

        Args:
            document: of whom it should be.
            other: of the other person of a chain, to say so when that is who stands there (S33).

        Raises:
            PartLost: no camera or no face worker; a person must compare.
            Left: the visitor went.
        """
        self._step = "face"
        if document is not self._compared:
            self._gently.clear()
        self._compared = document
        try:
            return await self._visitor.while_looking(self._look(document, other), self._hear)
        except (CameraGone, FaceFault) as fault:
            log.error("comparison.part-lost", code=fault.code, reason=str(fault))
            raise PartLost(fault.message, fault.code) from fault
        finally:
            await self._close_eyes()

    async def try_again(self, comparison: Comparison, left: int) -> bool:
        """Say that the comparison did not pass and what to change (M-15); return whether the visitor tries again.

        Raises:
            Left: the visitor went.
        """
        return await self._visitor.ask(not_passed(comparison, left)) is Touch.AGAIN

    async def say_manual(self, fault: PartLost) -> None:
        """Say which part does not work and that a person will compare instead."""
        page = pages.Result(sign=Sign.PERSON, headline=Text(fault.message), advice=Text("result.manual.advice"))
        await self._visitor.until_seen(page)

    async def record(self, facts: Facts, personal: Part | None = None) -> Filed:
        """Sign, seal and keep the record of this visit.

        Raises:
            OutboxFault: it cannot be kept; nothing was written.
        """
        filed = await asyncio.to_thread(self._parts.pen.write, facts, personal)  # it waits for the disk, the screen must not
        self._parts.line.written()
        return filed

    async def answer(self, filed: Filed, document: Document, outcome: Outcome) -> None:
        """Show what became of the record: received, accepted, effective; none of them before it is true."""
        self._step = "answer"
        self._parts.screen.show(pages.Working(text=Text("working.sending")))
        progress = await self._settled(filed)
        holder = document.holder
        who = Text("result.who", {"name": masked_name(holder.name), "number": masked_number(holder.number)})
        page = result(progress, filed, outcome, who, is_connected=self._parts.line.link.is_up)
        await self._visitor.until_seen(replace(page, slip=await self._slip(filed, outcome, slip_standing(progress))))

    # --- cards --------------------------------------------------------------------------------------------------------

    async def _present_card(self, fault: CardFault | None) -> None:
        """Wait for a card; after a failed reading, for the card to be lifted and put down again (M-13a)."""
        why = Text(fault.message) if fault else None
        if fault:
            await self._visitor.until(pages.PresentCard(state=Text("card.again"), fault=why), self._reader_is(_is_empty))
        # A reader that went meanwhile says so itself as soon as it is asked to read (S13).
        await self._visitor.until(pages.PresentCard(state=Text("card.place"), fault=why), self._reader_is(_can_answer))

    async def _reader_is(self, so: Callable[[ReaderStatus], bool]) -> None:
        async for status in self._parts.reader.changes():
            if so(status):
                return

    # --- eyes ---------------------------------------------------------------------------------------------------------

    async def _look(self, document: Document, other: Document | None) -> Comparison:
        """Open the camera and compare, with the preview running beside it; from the start again for whoever cannot turn."""
        pages_of = self._pages_of_looking()
        self._parts.screen.show(pages_of.page(BEGIN))
        await self._parts.camera.open()
        async with beside(self._preview()):
            if not self._gently.is_set():
                trying, asked = self._verify(document, other, pages_of), self._gently.wait()
                async with beside(trying) as made, beside(asked) as gently:
                    await asyncio.wait({made, gently}, return_when=asyncio.FIRST_COMPLETED)
                    if made.done():
                        return made.result()
                log.info("comparison.gently")
                await self._parts.face.forget()
                pages_of = self._pages_of_looking()
                self._parts.screen.show(pages_of.page(BEGIN))
            return await self._verify(document, other, pages_of)

    async def _verify(self, document: Document, other: Document | None, pages_of: Looking) -> Comparison:
        is_gentle, settings = self._gently.is_set(), self._settings.face
        return await verify(
            self._parts.face,
            self._parts.camera,
            document.portrait,
            condition=_condition(document.facts.kind),
            other=None if other is None else other.portrait,
            gentle=is_gentle,
            settings=settings.model_copy(update={"deadline_s": MORE_TIME * settings.deadline_s}) if is_gentle else settings,
            clock=self._parts.clock,
            on_step=lambda step: self._parts.screen.show(pages_of.page(step)),
        )

    def _pages_of_looking(self) -> Looking:
        settings = self._settings.face
        return Looking(
            self._parts.clock,
            turn_s=settings.turn_s,
            may_be_asked=settings.challenge_turns > 0,
            is_gentle=self._gently.is_set(),
        )

    def _hear(self, touch: Touch) -> None:
        if touch is Touch.GENTLE:
            self._gently.set()

    async def _close_eyes(self) -> None:
        """Forget what was seen, each part whatever becomes of the others."""
        async with AsyncExitStack() as last_first:
            last_first.push_async_callback(self._parts.face.forget)
            last_first.push_async_callback(self._parts.camera.close)
            last_first.callback(self._parts.screen.preview, None)

    async def _preview(self) -> None:
        """Hand every new frame to the screen. A broken stream is for the comparison to report."""
        shown = 0
        with suppress(CameraGone):
            while True:
                frame = self._parts.camera.newest()
                if frame and frame.number != shown:
                    shown = frame.number
                    self._parts.screen.preview(frame)
                await asyncio.sleep(PREVIEW_S)

    # --- endings ------------------------------------------------------------------------------------------------------

    async def _settled(self, filed: Filed) -> Progress:
        """Wait for the centre's answer as long as it can come; without a connection not at all (M-70)."""
        parts = self._parts
        until = parts.clock.monotonic() + self._settings.visit.receipt_s
        while True:
            try:
                progress = parts.outbox.progress(filed.seq, filed.epoch)
            except OutboxFault as fault:  # the record is kept, whatever happens to the disk now; nothing more is known of it
                log.error("visit.progress-not-read", code=fault.code, reason=str(fault))
                return KEPT
            left_s = until - parts.clock.monotonic()
            if progress.state in (State.ANSWERED, State.REJECTED) or left_s <= 0 or not parts.line.link.is_up:
                return progress
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, 0.5)):
                    await parts.line.news()

    async def _slip(self, filed: Filed, outcome: Outcome | None, standing: Standing) -> Squares | None:
        """Return the visitor's proof to be shown, made beside the loop; None where it is switched off or cannot be given."""
        options = self._settings.slip

        def make() -> Squares | None:
            text = self._parts.pen.slip(filed, outcome, standing, options.url)
            return None if text is None else squares(text)

        return await asyncio.to_thread(make) if options.show else None

    async def _open_case(self) -> None:
        """Help in one touch: a case with its context and nothing personal (S63)."""
        try:
            filed = await self.record(Case(site=self.site, step=self._step, cause=Cause.HELP))
        except OutboxFault as fault:
            await self._say_not_kept(fault)
            return
        advice = Text("help.advice", {"id": filed.number})
        slip = await self._slip(filed, None, Standing.KEPT)
        await self._visitor.until_seen(
            pages.Result(sign=Sign.PERSON, headline=Text("help.headline"), advice=advice, number=filed.number, slip=slip)
        )

    async def _say_not_kept(self, fault: OutboxFault) -> None:
        log.error("visit.record-not-kept", code=fault.code, reason=str(fault))
        await self._say_fault(fault.message, fault.code)

    async def _say_fault(self, message: str, code: str) -> None:
        page = pages.Result(sign=Sign.WARNING, headline=Text(message), advice=Text("fault.advice", {"code": code}))
        await self._visitor.until_seen(page)


def _lets_be(_touch: Touch) -> None:
    """Hear a touch that changes nothing."""


def _condition(kind: CardKind) -> Condition:
    """Return what kind of portrait a card brings."""
    match kind:
        case CardKind.RESIDENT | CardKind.HKMT_RESIDENCE | CardKind.FOREIGN_PR_2017 | CardKind.FOREIGN_PR_2023:
            return Condition.CHIP
        case _:
            assert_never(kind)


def _holds_card(status: ReaderStatus) -> bool:
    return status.has_card


def _is_empty(status: ReaderStatus) -> bool:
    return not status.has_card


def _can_answer(status: ReaderStatus) -> bool:
    return status.has_card or status.health.state is not PartState.WELL
