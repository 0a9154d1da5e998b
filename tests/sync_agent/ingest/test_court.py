"""The judge in a process of its own: killed it loses nothing, and it ends with its agent, however that ends."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final
from unittest import mock

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from sync_agent import service
from sync_agent.contract.envelope import Record
from sync_agent.contract.receipts import Receipt
from sync_agent.fleet import authority
from sync_agent.ingest import court as courts
from sync_agent.ingest.court import LOOK_S, NICE, Court, OpenJudge
from sync_agent.ingest.judge import Judge
from sync_agent.ingest.leases import Leases
from sync_agent.registry import rules
from sync_agent.registry.tables import AlarmKind, RecordRow, ReviewCase
from system.services.process import Process
from tests.processes import running
from tests.sync_agent.ingest.centre import Centre
from tests.sync_agent.ingest.hub import until

AGENT: Final = "one"
MANY: Final = 5
WITHIN_S: Final = 20.0


class Heard:
    """A court, and what its judge has said."""

    def __init__(self, centre: Centre, open_judge: OpenJudge) -> None:
        Leases(centre.database, AGENT, lambda shards: None).turn()
        self._said: queue.Queue[Receipt] = queue.Queue()
        self.court = Court(open_judge, self._hear)

    def _hear(self, receipts: Iterable[Receipt]) -> None:
        for receipt in receipts:
            self._said.put(receipt)

    def next(self) -> Receipt:
        return self._said.get(timeout=WITHIN_S)

    def rulings(self, count: int) -> list[int]:
        """Return the sequences of so many rulings, as they were said."""
        seqs: list[int] = []
        while len(seqs) < count:
            seqs += [ruling.seq for ruling in self.next().rulings]
        return seqs

    def __enter__(self) -> Heard:
        self.court.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.court.stop()


def pid_of(court: Court) -> int:
    until(lambda: court.pid is not None, "the start of a judge")
    assert court.pid is not None
    return court.pid


def is_gone(pid: int) -> bool:
    return "spawn_main" not in running().get(pid, "")


def test_what_is_held_is_judged_as_soon_as_it_is_woken(centre: Centre) -> None:
    with Heard(centre, centre.judge_of(AGENT)) as heard:
        one, two, three = centre.chain(3)
        centre.take(one.message)
        heard.court.wake()
        assert heard.rulings(1) == [1], "or it was looked at when the judge began"
        waits = []
        for seq, signed in ((2, two), (3, three)):
            centre.take(signed.message)
            begun = time.monotonic()
            heard.court.wake()
            assert heard.rulings(1) == [seq]
            waits.append(time.monotonic() - begun)
    assert min(waits) < LOOK_S / 2, "it did not wait until it would have looked by itself"


def test_without_being_woken_it_looks_by_itself(small_centre: Centre) -> None:
    with Heard(small_centre, small_centre.judge_of(AGENT)) as heard:
        for seq, signed in enumerate(small_centre.chain(2), start=1):
            small_centre.take(signed.message)
            assert heard.rulings(1) == [seq]


def test_it_yields_to_the_agent(small_centre: Centre) -> None:
    with Heard(small_centre, small_centre.judge_of(AGENT)) as heard:
        small_centre.take(small_centre.record(1).message)
        assert heard.rulings(1) == [1]
        assert os.getpriority(os.PRIO_PROCESS, pid_of(heard.court)) == os.getpriority(os.PRIO_PROCESS, 0) + NICE


def test_what_another_agent_holds_is_not_judged(centre: Centre) -> None:
    centre.take(centre.record(1).message)
    with centre.judge_of("another")() as judge:
        assert judge.work() == []
    Leases(centre.database, "another", lambda shards: None).turn()
    with centre.judge_of("another")() as judge:
        assert len(judge.work()) == 1


@contextmanager
def dies_at(seq: int, mark: Path, open_judge: OpenJudge) -> Iterator[Judge]:
    """Open a judge that is killed, once, when the rules are asked about a record: those before it are applied."""
    apply = rules.apply

    def deadly(session: Session, record: Record, *rest: object) -> rules.Applied:
        if record.event.seq == seq:
            with suppress(FileExistsError):
                mark.touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
        return apply(session, record, *rest)  # type: ignore[arg-type]  # handed on as it came

    with mock.patch.object(rules, "apply", deadly), open_judge() as judge:
        yield judge


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "not-killed"])
def test_a_judge_killed_in_the_middle_of_a_piece_judges_everything_once(centre: Centre, state_dir: Path, is_killed: bool) -> None:
    mark = state_dir / "killed"
    centre.take(*(signed.message for signed in centre.chain(MANY)))
    with Heard(centre, partial(dies_at, 3 if is_killed else 0, mark, centre.judge_of(AGENT))) as heard:
        first = pid_of(heard.court)
        assert heard.rulings(MANY) == list(range(1, MANY + 1))
        assert (pid_of(heard.court) != first) is is_killed
    assert mark.exists() is is_killed
    with centre.database.read() as session:
        assert session.scalar(select(func.count()).where(RecordRow.standing.is_(None))) == 0
    assert centre.count(ReviewCase) == MANY


@contextmanager
def always_dies_at(seq: int, open_judge: OpenJudge) -> Iterator[Judge]:
    """Open a judge that is killed whenever the rules are asked about a record."""
    apply = rules.apply

    def deadly(session: Session, record: Record, *rest: object) -> rules.Applied:
        if record.event.seq == seq:
            os.kill(os.getpid(), signal.SIGKILL)
        return apply(session, record, *rest)  # type: ignore[arg-type]  # handed on as it came

    with mock.patch.object(rules, "apply", deadly), open_judge() as judge:
        yield judge


@pytest.mark.parametrize("seq", [3, 0], ids=["deadly", "harmless"])
def test_a_record_that_kills_every_judge_is_set_aside_and_blocks_no_other(centre: Centre, seq: int) -> None:
    centre.take(*(signed.message for signed in centre.chain(MANY)))
    others = [number for number in range(1, MANY + 1) if number != seq]
    with Heard(centre, partial(always_dies_at, seq, centre.judge_of(AGENT))) as heard:
        assert heard.rulings(len(others)) == others
    assert centre.alarms() == ({AlarmKind.NOT_JUDGED: 1} if seq else {})
    with centre.database.read() as session:
        assert session.scalars(select(RecordRow.seq).where(RecordRow.standing.is_(None))).all() == ([seq] if seq else [])
    assert centre.count(ReviewCase) == len(others)


def test_a_judge_killed_while_it_waits_is_replaced(centre: Centre) -> None:
    with Heard(centre, centre.judge_of(AGENT)) as heard:
        one, two = centre.chain(2)
        centre.take(one.message)
        assert heard.rulings(1) == [1]
        first = pid_of(heard.court)
        os.kill(first, signal.SIGKILL)
        until(lambda: heard.court.pid not in (None, first), "another judge")
        centre.take(two.message)
        heard.court.wake()
        assert heard.rulings(1) == [2]
    assert centre.count(ReviewCase) == 2


def test_a_judge_that_can_never_begin_is_tried_ever_later(small_centre: Centre, capsys: pytest.CaptureFixture[str]) -> None:
    said = ""

    def has_died_twice() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "times=2" in said

    with Heard(small_centre, cannot_open):
        until(has_died_twice, "dying twice", WITHIN_S)


@contextmanager
def cannot_open() -> Iterator[Judge]:
    raise OSError("no keys")
    yield


def test_the_judge_ends_with_its_court(small_centre: Centre) -> None:
    with Heard(small_centre, small_centre.judge_of(AGENT)) as heard:
        small_centre.take(small_centre.record(1).message)
        assert heard.rulings(1) == [1]
        judge = pid_of(heard.court)
    assert is_gone(judge)


def test_a_judge_that_hangs_is_killed_when_its_court_ends(small_centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courts, "STOP_S", 0.3)
    with Heard(small_centre, small_centre.judge_of(AGENT)) as heard:
        judge = pid_of(heard.court)
        os.kill(judge, signal.SIGSTOP)
        assert not is_gone(judge)
    assert is_gone(judge)


@pytest.fixture
def agent(state_dir: Path) -> Iterator[Process]:
    """The command as it is run, on SQLite, with no broker to be found."""
    authority.establish(state_dir / "keys", (), service.now())
    file = state_dir / "agent.toml"
    file.write_text(f'state_dir = "{state_dir}"\ntenant = "xz"\n[broker]\nport = 1\n')
    made = Process("agent", [sys.executable, "-m", "sync_agent", "ingest", "--settings", file], state_dir / "agent.log")
    made.start(lambda: bool(judges_of(made.pid)), within_s=WITHIN_S)
    yield made
    made.kill()


def judges_of(pid: int) -> list[int]:
    """Return the processes that judge for a sync agent, not the one that Python tracks shared memory with."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [int(word) for task in tasks for word in (task / "children").read_text().split()]
    return [child for child in children if "spawn_main" in running().get(child, "")]


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_agent_ends_its_judge_ends(agent: Process, ending: signal.Signals) -> None:
    (judge,) = judges_of(agent.pid)
    assert not is_gone(judge)
    agent.signal(ending)
    agent.wait(WITHIN_S)
    until(lambda: is_gone(judge), "the end of the judge", courts.STOP_S)


@contextmanager
def hangs(mark: Path) -> Iterator[Judge]:
    """Open no judge, ever, as at a database that answers nothing."""
    courts.STOP_S = 0.3  # type: ignore[misc]  # in the process of the judge, which has nobody else to tell it
    mark.touch()
    threading.Event().wait()
    yield  # type: ignore[misc]  # never


PARENT: Final = """
import pathlib, signal, sys
from functools import partial
from sync_agent.ingest.court import Court
from tests.sync_agent.ingest.test_court import hangs
Court(partial(hangs, pathlib.Path(sys.argv[1])), print).start()
signal.pause()
"""


def test_a_judge_that_hangs_ends_though_its_agent_was_killed(state_dir: Path) -> None:
    mark = state_dir / "hangs"
    parent = Process("agent", [sys.executable, "-c", PARENT, mark], state_dir / "agent.log")
    parent.start(mark.exists, within_s=WITHIN_S)
    (judge,) = judges_of(parent.pid)
    assert not is_gone(judge)
    parent.signal(signal.SIGKILL)
    parent.wait(WITHIN_S)
    until(lambda: is_gone(judge), "the end of the judge", courts.STOP_S)
    parent.kill()
