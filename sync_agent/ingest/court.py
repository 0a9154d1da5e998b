"""The court: the judge in a process of its own beside the agent, which it yields to, so that evidence is held first.

The two share nothing but a bell, which the agent rings when something is held, and a mouth, by which the judge says its rulings;
keys and registry it opens itself. When it dies it is started again: what it had not committed is judged then, and rulings that
were committed but not said are asked for by the devices. When the agent dies the bell breaks, and the judge goes, too.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Final

import structlog

from sync_agent.contract import logs
from sync_agent.contract.receipts import Receipt
from sync_agent.ingest.judge import Judge
from sync_agent.ingest.leases import LostShard
from sync_agent.ingest.patience import patiently

log = structlog.get_logger(__name__)

NICE: Final = 10
"""How far the judge yields the processor to the agent (setpriority(2))."""

LOOK_S: Final = 1.0
"""How often the judge looks without being woken: for what waits behind a gap or was left by another agent, seconds."""

STOP_S: Final = 5.0
"""So long the judge has for the piece in hand when it is to end, seconds; then it is killed, and the piece is undone."""

SOON_S: Final = 10.0
"""A judge that died within so long after its start is started again after ever longer waits, seconds."""

AGAIN_MAX_S: Final = 30.0
"""The longest of them, seconds."""

OpenJudge = Callable[[], AbstractContextManager[Judge]]
"""Opens a judge with a registry of its own. It is called in the judge's process, so it must be picklable."""


@dataclass(frozen=True, slots=True)
class _Bailiff:
    """What the agent holds of the judge's process."""

    process: SpawnProcess
    bell: Connection
    mouth: Connection


class Court:
    """The agent's end. `wake` may be called from any thread."""

    def __init__(self, open_judge: OpenJudge, deliver: Callable[[Sequence[Receipt]], None]) -> None:
        """Prepare.

        Args:
            open_judge: opens the judge, in its process.
            deliver: says rulings; called in a thread of the court.
        """
        self._open_judge = open_judge
        self._deliver = deliver
        self._context = multiprocessing.get_context("spawn")
        self._sitting: _Bailiff | None = None
        self._changing = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="court", daemon=True)
        self._jitter = random.Random()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the piece in hand, its rulings delivered."""
        self._stopping.set()
        self._close_bell()
        if self._thread.is_alive():
            self._thread.join(STOP_S)
        sitting = self._sitting
        if sitting is not None and self._thread.is_alive():
            log.warning("judge.killed", within_s=STOP_S, todo="none: what it had in hand is judged at the next start")
            sitting.process.kill()
            self._thread.join(STOP_S)

    def wake(self) -> None:
        """Have the judge look at once."""
        with self._changing:
            if self._sitting is not None and not self._sitting.bell.closed:
                with suppress(BlockingIOError, BrokenPipeError):  # it rings already; or who starts next looks unasked
                    os.write(self._sitting.bell.fileno(), b"!")

    @property
    def pid(self) -> int | None:
        """The judge's process id, while there is one."""
        sitting = self._sitting
        return sitting.process.pid if sitting is not None else None

    # Everything below runs in the thread of the court.

    def _run(self) -> None:
        deaths = 0
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                code = self._sit()
            except Exception:  # the edge of the thread: without it nothing would be judged and the agent look well
                log.exception("judge.not-started", todo="see that this machine has memory and processes left")
                code = -1
            if self._stopping.is_set():
                return
            deaths = deaths + 1 if time.monotonic() - begun < SOON_S else 1
            wait_s = self._jitter.uniform(0.5, 1) * min(AGAIN_MAX_S, 0.1 * 2.0 ** min(deaths, 10))
            todo = "none, it is started again and nothing is lost; if it goes on, see the log above for why"
            say = log.error if code else log.info  # a service manager tells it to end together with us, or just before
            say("judge.ended", code="ING-05", exit=code, times=deaths, wait_s=round(wait_s, 2), todo=todo)
            self._stopping.wait(wait_s)

    def _sit(self) -> int:
        """Have a judge sit until it ends, and deliver what it says; return its exit code."""
        sitting = self._begin()
        if self._stopping.is_set():
            self._close_bell()  # it was not there yet when we were told
        try:
            while True:
                self._deliver(sitting.mouth.recv())
        except (EOFError, OSError):
            pass  # it has ended, or was killed in the middle of a word
        finally:
            self._close_bell()
            sitting.process.join(STOP_S)
            if sitting.process.is_alive():
                sitting.process.kill()
                sitting.process.join()
            self._sitting = None
            sitting.mouth.close()
        return sitting.process.exitcode or 0

    def _begin(self) -> _Bailiff:
        ear, bell = self._context.Pipe(duplex=False)
        mouth, tongue = self._context.Pipe(duplex=False)
        os.set_blocking(bell.fileno(), False)
        # Should the agent forget to stop it, Python ends a daemon by SIGTERM, which is a sign to go here.
        process = self._context.Process(target=_judge, args=(self._open_judge, ear, tongue), name="judge", daemon=True)
        process.start()
        ear.close()
        tongue.close()
        sitting = _Bailiff(process, bell, mouth)
        with self._changing:
            self._sitting = sitting
        return sitting

    def _close_bell(self) -> None:
        with self._changing:
            if self._sitting is not None:
                self._sitting.bell.close()


class _Bell:
    """What the judge hears of its agent."""

    def __init__(self, ear: Connection) -> None:
        self.is_rung = threading.Event()
        self.is_over = threading.Event()
        self._ear = ear
        self.is_rung.set()  # what was held before is looked at first
        threading.Thread(target=self._listen, name="bell", daemon=True).start()

    def end(self) -> None:
        """Have the judge end after the piece in hand."""
        self.is_over.set()
        self.is_rung.set()

    def _listen(self) -> None:
        while os.read(self._ear.fileno(), 4096):
            self.is_rung.set()
        self.end()
        time.sleep(STOP_S)
        os._exit(1)  # it hangs at a database that answers nothing, and nobody is left to kill it


def _judge(open_judge: OpenJudge, ear: Connection, tongue: Connection) -> None:
    """Judge in a process of its own until the bell is closed."""
    logs.set_up("sync-agent")
    bell = _Bell(ear)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who started it stops it
    signal.signal(signal.SIGTERM, lambda *_: bell.end())
    os.nice(NICE)
    try:
        with open_judge() as judge:
            _sit(judge, bell, tongue)
    except Exception:  # the edge of the process, whose own words could hold what is personal
        log.exception("judge.failed", code="ING-06", todo="none, it is started again; if it goes on, report it")
        sys.exit(1)


def _sit(judge: Judge, bell: _Bell, tongue: Connection) -> None:
    while not bell.is_over.is_set():
        bell.is_rung.wait(LOOK_S)
        bell.is_rung.clear()
        begun = time.monotonic()
        try:
            while posts := patiently(judge.work, bell.is_over):
                tongue.send([post.receipt for post in posts])
                if judge.is_in_the_way:  # who waits for SQLite looks now and then; without a pause it would find it taken
                    bell.is_over.wait(time.monotonic() - begun)
                begun = time.monotonic()
        except LostShard as lost:
            log.warning("judge.shards-lost", shards=sorted(lost.shards), todo="none: their new holder judges them")
        except BrokenPipeError:
            return  # the agent is gone
