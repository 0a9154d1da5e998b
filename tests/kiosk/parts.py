"""The parts of a counter in memory, at the seams of the product; whatever the product brings itself is real."""

from __future__ import annotations

import asyncio
import base64
import gc
import sys
import types
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from joserfc.jwk import OKPKey

from kiosk.app import serve
from kiosk.cameras.base import CameraGone, Frame
from kiosk.cards.document import Document, Portrait
from kiosk.cards.presence import Presence
from kiosk.cards.reader import CardLifted, ReaderAbsent, ReaderStatus
from kiosk.clock import SystemClock
from kiosk.desk import Counter, Desk
from kiosk.face.given import Likeness, Pictured
from kiosk.face.result import Box, Glimpse, QualityCause
from kiosk.health import SelfTest
from kiosk.screens.arrange import arrange
from kiosk.screens.fonts import Fonts
from kiosk.screens.layout import touchables
from kiosk.screens.pages import TAKE_BACK, Attract, Face, OutOfService, Page, Text, Touch, Way
from kiosk.screens.words import Words, offered
from kiosk.settings import FaceSettings, NoticeSettings, Settings, SlipSettings, VisitSettings
from kiosk.uplink.identity import Identity
from kiosk.uplink.line import KioskEnd
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.pen import Pen
from models.load import Pack
from models.shelf import Shelf
from sync_agent.contract import envelope
from sync_agent.contract.kinds import CardFacts, CardHolder, CardKind, Condition, Health, PartHealth, PartState, Provenance
from sync_agent.contract.parts import Facts, Part
from sync_agent.contract.slip import attest
from sync_agent.contract.topics import DeviceId, Tenant
from system.simulate.people import PEOPLE
from tests.kiosk.screen import Sheet

NOW: Final = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
PERSON: Final = PEOPLE["deji"]
FACTS: Final = CardFacts(kind=CardKind.RESIDENT, provenance=Provenance.SAM_VERIFIED, reader_module="module-1")
NOTICE: Final = NoticeSettings(version="3", controller="测试工地", contact="0891-0000000")
PATIENT: Final = VisitSettings(idle_s=60, still_there_s=60, result_s=0.01)
HASTY: Final = VisitSettings(idle_s=0.01, still_there_s=0.01, result_s=0.01)
BOX: Final = Box(0.4, 0.3, 0.2, 0.25)
Fault = Callable[[], Exception]
Script = float | QualityCause | Fault | None


def holder() -> CardHolder:
    """What stands on the planted person's card."""
    return CardHolder(
        name=PERSON.name,
        number=PERSON.number,
        sex=PERSON.sex,
        ethnic_group=PERSON.ethnic_group,
        birth=date(1955, 12, 1),
        address=PERSON.address,
        valid_from=date(2015, 1, 1),
        valid_until=None,
    )


class Plate:
    """A card reader: the test puts cards down and lifts them, and says what goes wrong with the next readings.

    Attributes:
        faults: one for each of the next readings.
        hangs: whether a reading takes for ever.
        has_decoder: whether there is one for the portrait.
        portraits: of every reading, to see whether one is still held.
    """

    def __init__(self) -> None:
        self.faults: deque[Fault] = deque()
        self.hangs = False
        self.has_decoder = True
        self.portraits: list[weakref.ref[Any]] = []
        self._presence = Presence(SystemClock())
        self.plug_in()

    @property
    def status(self) -> ReaderStatus:
        return self._presence.status

    def plug_in(self) -> None:
        self._presence.announce(PartState.WELL, "", has_card=False)

    def unplug(self) -> None:
        self._presence.announce(PartState.ABSENT, ReaderAbsent.code, has_card=False)

    def put(self) -> None:
        self._presence.announce(PartState.WELL, "", has_card=True)

    def lift(self) -> None:
        self._presence.announce(PartState.WELL, "", has_card=False)

    async def start(self) -> None: ...

    def changes(self) -> AsyncIterator[ReaderStatus]:
        return self._presence.changes()

    async def read(self) -> Document:
        if self.hangs:
            await asyncio.Event().wait()
        if self.status.health.state is not PartState.WELL:
            raise ReaderAbsent("unplugged")
        if self.faults:
            raise self.faults.popleft()()
        if not self.status.has_card:
            raise CardLifted("nothing there")
        if not self.has_decoder:
            return Document(holder(), FACTS, None)
        image = np.zeros((126, 102, 3), np.uint8)
        self.portraits.append(weakref.ref(image))
        return Document(holder(), FACTS, Portrait(image, "test"))

    async def stop(self) -> None:
        self._presence.close()


class Lens:
    """A camera that has a new frame whenever it is asked.

    Attributes:
        is_there: whether it opens.
        hangs: whether opening it takes for ever.
        lasts: how many frames it gives before it breaks.
    """

    def __init__(self) -> None:
        self.is_there = True
        self.hangs = False
        self.lasts = 1_000_000
        self.is_open = False
        self.openings = 0
        self.frames: list[weakref.ref[Any]] = []
        self.health = PartHealth(state=PartState.WELL, since=SystemClock().now())
        self._number = 0

    async def open(self) -> None:
        if not self.is_there:
            raise CameraGone("no camera")
        self.is_open, self._number = True, 0
        self.openings += 1
        if self.hangs:
            await asyncio.Event().wait()

    def newest(self) -> Frame | None:
        assert self.is_open, "frames exist only between open and close"
        if self._number == self.lasts:
            raise CameraGone("the stream broke")
        self._number += 1
        image = np.zeros((4, 4, 3), np.uint8)
        self.frames.append(weakref.ref(image))
        return Frame(self._number, SystemClock().monotonic(), image, np.zeros((4, 4, 4), np.uint8))

    async def close(self) -> None:
        self.is_open = False


class Onlooker:
    """Judges frames as the test wrote it down, one entry a try: a distance, a cause, a fault, or None for no answer at all.

    Attributes:
        others: distances to the other person of a chain, one a try; none where it is used up.
        yaw: how the head is held when a frame is taken, degrees.
        asked: portraits and conditions of every try.
    """

    def __init__(self, *script: Script) -> None:
        self.pack: Pack = Shelf().open("dlib")
        self.script = deque(script)
        self.others: deque[float] = deque()
        self.yaw: Callable[[], float] = lambda: 0.0
        self.refuses: QualityCause | Fault | None = None
        self.asked: list[tuple[Condition, bool]] = []
        self.portrait: Likeness | None = None
        self.forgot = 0
        self._sees: Script = None
        self._other: float | None = None
        self._frame: Pictured | None = None

    @property
    def calibration(self) -> None:
        """None: the pack's own thresholds."""

    async def refer(self, portrait: Likeness, condition: Condition, other: Likeness | None = None) -> QualityCause | None:
        if callable(self.refuses):
            raise self.refuses()
        self.asked.append((condition, other is not None))
        self.portrait, self._sees = portrait, self.script.popleft() if self.script else None
        self._other = self.others.popleft() if other is not None and self.others else None
        return self.refuses

    def offer(self, frame: Pictured) -> None:
        self._frame = frame

    async def glimpse(self, wait_s: float) -> Glimpse | None:
        await asyncio.sleep(0)
        frame, self._frame = self._frame, None
        if frame is None or self._sees is None:
            return None
        if callable(self._sees):
            raise self._sees()
        if isinstance(self._sees, QualityCause):
            return Glimpse(frame.number, None, self._sees, None)
        return Glimpse(frame.number, BOX, None, self._sees, plain=self._sees, other=self._other, yaw_deg=self.yaw())

    async def forget(self) -> None:
        self.portrait = self._frame = None
        self.forgot += 1


@cache
def fonts() -> Fonts:
    return Fonts()


@cache
def words() -> tuple[Words, ...]:
    return tuple(map(Words, offered()))


class Window(Sheet):
    """Arranges every page in every language as the real one does, and can be touched only where the page offers it."""

    def show(self, page: Page) -> None:
        if self.shown and type(page) is not type(self.shown[-1]):
            self.drop_touches()
        for language in words():
            self._scene = arrange(page, language, fonts())
        super().show(page)

    def preview(self, frame: Frame | None) -> None:
        self.pictures = [frame]

    def touch(self, *touches: Touch) -> None:
        for touch in touches:
            assert touch in {control.touch for control in touchables(self._scene)}, f"{self.messages} does not offer {touch}"
        super().touch(*touches)

    def wipe(self) -> None:
        super().wipe()
        self.pictures.clear()
        self.drop_touches()

    @property
    def messages(self) -> set[str]:
        """The messages on show, or the kind of the page where it has none."""
        return keys_of(self.shown[-1])

    async def says(self, key: str) -> None:
        """Wait until a message is on show."""
        await self.until_so(lambda page: key in keys_of(page))

    async def on(self, key: str, *touches: Touch) -> None:
        """Wait until a message is on show, then touch."""
        await self.says(key)
        self.touch(*touches)


def keys_of(page: Page) -> set[str]:
    texts = {text.key for field in fields(page) if isinstance(text := getattr(page, field.name), Text)}
    return texts or {type(page).__name__}


@dataclass
class Hall:
    """One counter with everything on it."""

    reader: Plate
    camera: Lens
    face: Onlooker
    window: Window
    outbox: Outbox
    pen: Pen
    line: KioskEnd
    desk: Desk
    identity: Identity
    registry_key: OKPKey

    def records(self) -> list[tuple[Facts, Part]]:
        """What the registry would read of this counter's records."""
        who = self.identity
        read = [envelope.read(message, who.signing_key, who.tenant, who.device) for message in self.outbox.messages()]
        return [(record.facts, record.personal(self.registry_key)) for record in read]

    async def serve(self) -> None:
        """Serve visitors as the kiosk does, until cancelled."""
        asks = {"reader": lambda: self.reader.status.health, "storage": lambda: PartHealth(state=PartState.WELL, since=NOW)}
        await serve(self.desk, SelfTest(asks, told_nobody, SystemClock()), self.identity.device)

    async def take_back(self) -> None:
        """Take the card away as soon as the kiosk asks for it."""
        while True:
            await self.window.says(TAKE_BACK)
            self.reader.lift()
            await self.window.says("Attract")
            await self.window.until_so(lambda page: not isinstance(page, Attract))

    def turns(self, *, as_asked: bool = True) -> None:
        """Let the visitor turn their head as the page asks for, or to the other side; it takes them a few frames."""
        side = 40.0 if as_asked else -40.0
        held = {Way.LEFT: side, Way.RIGHT: -side, Way.STRAIGHT: 0.0}

        at_deg = 0.0

        def yaw() -> float:
            nonlocal at_deg
            page = self.window.shown[-1]
            wanted = held[page.prompt.way] if isinstance(page, Face) and page.prompt else 0.0
            at_deg += min(10.0, max(-10.0, wanted - at_deg))
            return at_deg

        self.face.yaw = yaw

    async def is_over(self) -> None:
        """Wait until a visit has ended and the next may begin."""
        await self.window.until_so(lambda page: bool(self.window.wiped) and isinstance(page, Attract | OutOfService))

    def read_last(self) -> set[str]:
        """What the visitor read last, before the card was to be taken back."""
        visit = [page for page in self.window.shown if not isinstance(page, Attract | OutOfService)]
        return next(keys for page in reversed(visit) if TAKE_BACK not in (keys := keys_of(page)))

    def remains(self) -> list[str]:
        """What is left of the visitor."""
        left = []
        if self.camera.is_open:
            left.append("the camera is open")
        if not self.face.forgot or self.face.portrait is not None:
            left.append("the face worker did not forget")
        if not self.window.wiped:
            left.append("the screen was not wiped")
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for value in found_from([self.desk, *tasks], (PERSON.name, PERSON.number, PERSON.address)):
            left.append(f"{value} can be reached")
        left += ["a portrait" for portrait in self.reader.portraits if portrait() is not None]
        left += ["a frame" for frame in self.camera.frames if frame() is not None]
        return left


@contextmanager
def hall(
    folder: Path,
    *script: Script,
    visit: VisitSettings = PATIENT,
    deadline_s: float = 20,
    turns: int = 0,
    line: KioskEnd | None = None,
    agent_key: OKPKey | None = None,
    slip: SlipSettings | None = None,
) -> Iterator[Hall]:
    """A counter, its outbox and keys below a folder; with a key of the agent it has that one's attestation of its own."""
    clock = SystemClock()
    registry_key, signing_key = OKPKey.generate_key("X25519"), OKPKey.generate_key("Ed25519")
    identity = Identity(
        tenant=Tenant("xz"),
        device=DeviceId("kiosk-01"),
        site="site-1",
        broker_host="localhost",
        broker_port=8883,
        signing_key=signing_key,
        agent_keys=(agent_key,) if agent_key else (),
        registry_key=OKPKey.import_key(registry_key.as_dict(private=False)),
        certificate=folder,
        tls_key=folder,
        ca=folder,
        attestation=attested(signing_key, agent_key, clock.now()) if agent_key else "",
    )
    face = FaceSettings(deadline_s=deadline_s, challenge_turns=turns)
    settings = Settings(state_dir=folder, notice=NOTICE, visit=visit, face=face, slip=slip or SlipSettings())
    line = line or KioskEnd(settings.uplink_socket)
    with closing(Outbox(settings.outbox_path)) as outbox:
        pen = Pen(outbox, identity, clock)
        reader, camera, eyes, window = Plate(), Lens(), Onlooker(*script), Window()
        desk = Desk(Counter(reader, camera, eyes, window, pen, outbox, line, clock), settings, identity.site)
        yield Hall(reader, camera, eyes, window, outbox, pen, line, desk, identity, registry_key)


def attested(record_key: OKPKey, agent_key: OKPKey, now: datetime) -> str:
    """The agent's word that a record key is this counter's, as its enrolment would have brought it."""
    since, until = now - timedelta(days=1), now + timedelta(days=89)
    word = attest(record_key, device="kiosk-01", site="site-1", valid_from=since, valid_until=until, agent_key=agent_key)
    return base64.b64encode(word).decode()


def found_from(roots: Iterable[object], values: tuple[str, ...]) -> set[str]:
    """Return which values stand in any text or bytes that can be reached from some objects, not counting modules and classes."""
    modules = {id(vars(module)) for module in list(sys.modules.values())}
    seen: dict[int, object] = {}
    found = set()
    todo = list(roots)
    while todo:
        one = todo.pop()
        if id(one) in seen or id(one) in modules or isinstance(one, type | types.ModuleType | types.CodeType):
            continue
        seen[id(one)] = one
        if isinstance(one, str):
            found |= {value for value in values if value in one}
        elif isinstance(one, bytes | bytearray):
            found |= {value for value in values if value.encode() in one or value.encode("utf-16-le") in one}
        elif isinstance(one, types.FunctionType):
            todo += [one.__closure__, one.__defaults__, one.__kwdefaults__]
        else:
            todo += gc.get_referents(one)
    return found


async def told_nobody(_health: Health) -> None:
    """Take the self-test's news and do nothing with them."""
