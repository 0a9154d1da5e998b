"""The one place where the kiosk's parts are built and wired; nothing else opens a device, a file or the environment."""

from __future__ import annotations

import asyncio
import gc
import random
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final

import structlog

from kiosk.banners import Bannered
from kiosk.cameras.base import Camera, CameraGone
from kiosk.cameras.kinds import open_camera
from kiosk.cards.kinds import ReaderKind, open_reader
from kiosk.cards.pages import PageTable
from kiosk.clock import Clock, SystemClock
from kiosk.desk import Counter, Desk
from kiosk.face.worker import FaceWorker
from kiosk.health import Closed, SelfTest
from kiosk.journeys.verify_worker import verify_worker
from kiosk.opening import Opening, of_storage
from kiosk.screens.pages import Text
from kiosk.screens.pilot import piloted
from kiosk.screens.stage import Stage
from kiosk.screens.words import Language
from kiosk.settings import PageSettings, Settings
from kiosk.uplink.courier import Courier
from kiosk.uplink.faults import OutboxFault, OutboxFull
from kiosk.uplink.line import KioskEnd, UplinkEnd
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.pen import Pen
from kiosk.uplink.renewal import Renewals
from kiosk.uplink.retention import retain
from sync_agent.contract.kinds import Health, PartHealth, PartState

log = structlog.get_logger(__name__)

FIRST_FRAME_S: Final = 5.0
"""How long the camera may take for its first frame in the self-test, seconds."""


async def run_kiosk(settings: Settings) -> None:
    """Run screen, journeys, reader, camera and face worker until told to stop.

    Raises:
        DisplayMissing: there is no screen.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        stage = Stage(
            monotonic=clock.monotonic,
            fullscreen=settings.screen.fullscreen,
            language=Language(settings.screen.language),
        )
        stage.open()
        stack.callback(stage.close)
        if settings.screen.pilot_socket is not None:
            await stack.enter_async_context(piloted(stage, settings.screen.pilot_socket, clock.monotonic))
        ready = Opening(settings, stage.show)
        await until_stopped(stage.run(), ready.run())
        if ready.opened is None:
            return
        who, outbox = ready.opened
        stack.callback(outbox.close)
        pen = Pen(outbox, who, clock)
        reader = open_reader(
            ReaderKind(settings.reader.kind),
            clock=clock,
            name=settings.reader.name,
            read_deadline_s=settings.reader.read_deadline_s,
            pages=page_table(settings.reader.pages),
        )
        await reader.start()
        stack.push_async_callback(reader.stop)
        camera = open_camera(settings.camera, clock)
        face = FaceWorker(settings.face, clock)
        await face.start()
        stack.push_async_callback(face.stop)
        line = KioskEnd(settings.uplink_socket)
        screen = Bannered(stage, line)
        desk = Desk(Counter(reader, camera, face, screen, pen, outbox, line, clock), settings, who.site)

        async def told(health: Health) -> None:
            line.parts(health.parts)
            try:
                await asyncio.to_thread(pen.write, health, None)
                line.written()
            except OutboxFault as fault:
                log.error("health.not-recorded", code=fault.code)

        test = SelfTest(
            {
                "reader": lambda: reader.status.health,
                "camera": lambda: camera.health,
                "face": lambda: face.health,
                "storage": lambda: storage(outbox, settings.outbox.min_free_mb, clock),
            },
            told,
            clock,
        )
        await look_once(camera)
        await until_stopped(stage.run(), line.run(), screen.run(), test.run(), serve(desk, test, who.device))


async def run_uplink(settings: Settings) -> None:
    """Run the uplink until told to stop."""
    clock = SystemClock()
    line = UplinkEnd(settings.uplink_socket)
    async with AsyncExitStack() as stack:
        ready = Opening(settings)
        await until_stopped(ready.run())
        if ready.opened is None:
            return
        who, outbox = ready.opened
        renewals = Renewals(who, clock, random.Random())
        stack.callback(outbox.close)
        courier = Courier(who, outbox, line, settings.uplink, clock, random.Random(), take_trust=renewals.box.take)
        await line.start(courier.heard)
        stack.push_async_callback(line.stop)
        await until_stopped(courier.run(), retain(outbox, settings.outbox, clock), renewals.run())


async def serve(desk: Desk, test: SelfTest, device: str) -> None:
    """Serve one visitor after the other; while a part is missing without which nothing can be recorded, say so."""
    while True:
        await test.check()
        closed = test.closed()
        if closed is not None:
            desk.out_of_service(reason(closed), closed.code, device)
            await test.other_than(closed)
        elif await first_of(test.other_than(None), desk.await_visitor()) == 1:
            async with desk.visit():
                await verify_worker(desk)
            gc.collect()  # a card or a face that the traceback of a failure still holds goes now, not some time later (P05)


def page_table(settings: PageSettings) -> PageTable:
    """Return how the reader offers the card's pages."""
    return PageTable(
        mark=bytes.fromhex(settings.mark),
        mark_at=settings.mark_at,
        cla=settings.cla,
        ins=settings.ins,
        page_bytes=settings.page_bytes,
        max_photo_bytes=settings.max_photo_bytes,
        module_command=bytes.fromhex(settings.module_command),
    )


def reason(closed: Closed) -> Text:
    """Return why the counter is closed, in the visitor's words."""
    return of_storage(closed.code) if closed.part == "storage" else Text(f"out.{closed.part}")


def storage(outbox: Outbox, min_free_mb: int, clock: Clock) -> PartHealth:
    """Say whether records can be kept: there is room, and the outbox can be written."""
    try:
        outbox.probe()
        code = "" if outbox.free_mb() >= min_free_mb else OutboxFull.code
    except OutboxFault as fault:
        code = fault.code
    return PartHealth(state=PartState.FAILED if code else PartState.WELL, code=code, since=clock.now())


async def look_once(camera: Camera) -> None:
    """Open the camera for one frame, so that its health is known before the first visitor, and close it again."""
    try:
        await camera.open()
        async with asyncio.timeout(FIRST_FRAME_S):
            while camera.newest() is None:
                await asyncio.sleep(0.02)
    except (CameraGone, TimeoutError) as err:
        log.warning("camera.self-test-failed", reason=str(err))
    finally:
        await camera.close()


async def first_of(*these: Coroutine[Any, Any, None]) -> int:
    """Run several things until one is done, end the others, and return the position of the one that was."""
    tasks = [asyncio.ensure_future(this) for this in these]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        winner = next(position for position, task in enumerate(tasks) if task.done())
        tasks[winner].result()
        return winner
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_stopped(*these: Coroutine[Any, Any, None]) -> None:
    """Run several things until SIGTERM or SIGINT; the failure of one ends all and is raised."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)  # stays: a second signal must not cut the ending short
    await first_of(*these, wait(stop))


async def wait(event: asyncio.Event) -> None:
    """Wait for an event."""
    await event.wait()
