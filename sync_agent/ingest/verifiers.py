"""Verifiers: processes beside this one that check signatures, most of what the centre spends on a record.

None of them, and the work is done where it is asked for. A worker has one piece of work at a time and is waited for, so nothing
queues up. One that dies (killed, out of memory) is replaced and its piece is done again: verifying changes nothing.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Final

import structlog

from sync_agent.contract import logs
from sync_agent.contract.codes import Fault
from sync_agent.ingest.check import Bad, Claim, Entry, verify

log = structlog.get_logger(__name__)

Found = tuple[Entry | Bad, ...]

PIECE: Final = 64
"""Messages in one piece of work, at most."""

STOP_S: Final = 5.0


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    pipe: Connection


class Verifiers:
    """Some worker processes; may be used from several threads, each piece of work goes to the next that is free."""

    def __init__(self, count: int) -> None:
        """Prepare.

        Args:
            count: processes; 0 verifies in this one.
        """
        self._count = count
        self._context = multiprocessing.get_context("spawn")
        self._free: list[_Worker] = []
        self._all: list[_Worker] = []
        self._changed = threading.Condition()

    def start(self) -> None:
        """Start the processes."""
        self._all = [self._begin() for _ in range(self._count)]
        self._free = list(self._all)

    def stop(self) -> None:
        """End them; a closed pipe is their sign to go."""
        for worker in self._all:
            worker.pipe.close()
        for worker in self._all:
            worker.process.join(STOP_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._all, self._free = [], []

    @property
    def pids(self) -> list[int]:
        """The process ids."""
        return [worker.process.pid for worker in self._all if worker.process.pid is not None]

    def verify(self, claims: Sequence[Claim]) -> list[Found]:
        """Return for each message the records in it, or why there are none."""
        if not self._count:
            return [verify(claimed) for claimed in claims]
        size = max(1, min(PIECE, -(-len(claims) // self._count)))
        pieces = [claims[start : start + size] for start in range(0, len(claims), size)]
        results: list[list[Found]] = [[] for _ in pieces]
        waiting = list(enumerate(pieces))
        busy: dict[object, tuple[_Worker, int, Sequence[Claim]]] = {}
        while waiting or busy:
            while waiting and (worker := self._take(patiently=not busy)) is not None:
                number, piece = waiting.pop(0)
                busy[worker.pipe] = (worker, number, piece)
                _send(worker, piece)
            for pipe in wait([worker.pipe for worker, _, _ in busy.values()]):
                worker, number, piece = busy.pop(pipe)
                try:
                    results[number] = worker.pipe.recv()
                except (EOFError, OSError):
                    self._give(self._replace(worker))
                    results[number] = self._again(piece)
                else:
                    self._give(worker)
        return [found for result in results for found in result]

    def _again(self, piece: Sequence[Claim]) -> list[Found]:
        """Verify a piece that a worker died at, message by message; one at which a second dies is set aside."""
        results: list[Found] = []
        for claimed in piece:
            worker = self._take(patiently=True)
            if worker is None:
                raise RuntimeError("no verifier is left")
            try:
                _send(worker, [claimed])
                results += worker.pipe.recv()
            except (EOFError, OSError):
                worker = self._replace(worker)
                results.append((Bad(None, Fault.INTERNAL, "a verifier died at it"),))
            self._give(worker)
        return results

    def _take(self, *, patiently: bool) -> _Worker | None:
        """Return a free worker; without waiting, None where there is none."""
        with self._changed:
            if patiently:
                self._changed.wait_for(lambda: self._free)
            return self._free.pop() if self._free else None

    def _give(self, worker: _Worker) -> None:
        with self._changed:
            self._free.append(worker)
            self._changed.notify()

    def _replace(self, dead: _Worker) -> _Worker:
        dead.pipe.close()
        dead.process.join(STOP_S)
        log.error("verifier.died", code=dead.process.exitcode)
        worker = self._begin()
        with self._changed:
            self._all[self._all.index(dead)] = worker
        return worker

    def _begin(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs,), name="verifier", daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)


def _send(worker: _Worker, piece: Sequence[Claim]) -> None:
    """Give a worker its work; one that is dead shows when its answer is waited for."""
    try:
        worker.pipe.send(list(piece))
    except OSError:
        log.debug("verifier.unreachable")


def _work(pipe: Connection) -> None:
    """Verify what comes, in a process of its own, until the pipe is closed."""
    logs.set_up("sync-agent")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who started it stops it
    try:
        while True:
            claims: list[Claim] = pipe.recv()
            pipe.send([verify(claimed) for claimed in claims])
    except (EOFError, BrokenPipeError):
        return  # the agent wants no more of it, or is gone
    except Exception:  # the edge of the process, whose own words could hold what is personal
        log.exception("verifier.failed", code="ING-07", todo="none, it is replaced and the message set aside; report it")
        sys.exit(1)
