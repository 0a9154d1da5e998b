"""The worker's own process: takes one frame at a time from shared memory and answers with a glimpse. It never sees a network."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Callable
from ctypes import Array, c_ubyte
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final, assert_never

import cv2
import numpy as np

from kiosk.face.calibration import Calibration
from kiosk.face.given import Image
from kiosk.face.matcher import Matcher
from kiosk.face.model import NotNumbers
from kiosk.face.result import Glimpse, QualityCause
from models.load import BadPack, Pack
from sync_agent.contract.kinds import Condition

Slot = Array[c_ubyte]
"""Shared memory without a name, so that nothing of it outlives the two processes. Only the kiosk writes to it."""

NICENESS: Final = 10
"""Priority matters more for the screen than the number of threads (measured: p95 of the frame interval 40 to 36 ms)."""

_M_MMAP_THRESHOLD: Final = -3
_PICTURE_BYTES: Final = 64 * 1024
"""Whatever is as large as this gets pages of its own, which go back to the system as soon as it is freed (mallopt(3))."""

WARM_UP_PX: Final = (480, 640)


@dataclass(frozen=True, slots=True)
class Picture:
    """What lies in the slot: (height, width, 3) uint8, BGR."""

    height: int
    width: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.height * self.width * 3


@dataclass(frozen=True, slots=True)
class Look:
    """To the worker: judge the frame in the slot."""

    number: int
    picture: Picture


@dataclass(frozen=True, slots=True)
class Refer:
    """To the worker: the portrait in the slot is what frames are compared with, or that of the person it may wrongly be."""

    picture: Picture
    condition: Condition
    is_other: bool = False


@dataclass(frozen=True, slots=True)
class Forget:
    """To the worker: overwrite what is known of the visitor."""


Request = Look | Refer | Forget


@dataclass(frozen=True, slots=True)
class Ready:
    """From the worker: the pack is loaded."""


@dataclass(frozen=True, slots=True)
class Broken:
    """From the worker: the pack cannot be used; the process ends. The text names what and the remedy."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Referred:
    """From the worker: the portrait is taken, or why not."""

    cause: QualityCause | None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """From the worker: done."""


Answer = Ready | Broken | Referred | Forgotten | Glimpse


def serve(slot: Slot, line: Connection, pack: Pack, threads: int, calibration: Calibration | None) -> None:
    """Answer one request after the other until the kiosk hangs up. Runs in the worker's process.

    Args:
        slot: where pictures lie.
        line: to the kiosk.
        pack: what to load.
        threads: how many the model may use.
        calibration: the site's, of this pack.
    """
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the kiosk, which then hangs up
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold faces (P05)
    ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _PICTURE_BYTES)
    cv2.setNumThreads(1)
    try:
        matcher = Matcher(pack, threads, calibration)
    except BadPack as err:
        line.send(Broken(err.code, str(err)))
        return
    memory = np.ctypeslib.as_array(slot)
    try:
        matcher.look(0, np.zeros((*WARM_UP_PX, 3), dtype=np.uint8))
        line.send(Ready())
        while True:
            line.send(_answer(matcher, line.recv(), lambda picture: _seen(memory, picture)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        matcher.forget()
    except NotNumbers as err:
        matcher.forget()
        remedy = "Verify the pack (python -m models verify) and the machine's memory, then start the kiosk again"
        line.send(Broken("FACE-06", f"model pack {pack.spec.name!r} gave no score: {err}. {remedy}"))


def _answer(matcher: Matcher, request: Request, seen: Callable[[Picture], Image]) -> Answer:
    match request:
        case Look(number, picture):
            return matcher.look(number, seen(picture))
        case Refer(picture, condition, is_other):
            refer = matcher.refer_other if is_other else matcher.refer
            return Referred(refer(seen(picture), condition))
        case Forget():
            matcher.forget()
            # Copies of frames that were made and freed on the way stay readable in the heap until their pages are given back.
            ctypes.CDLL(None).malloc_trim(0)
            return Forgotten()
        case _:
            assert_never(request)


def _seen(memory: Image, picture: Picture) -> Image:
    """Return the picture in the slot, without a copy."""
    return memory[: picture.size].reshape(picture.height, picture.width, 3)
