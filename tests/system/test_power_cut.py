"""A power cut at every step of writing to the outbox: no record that the product promised is lost, and the chain goes on.

Two negative controls make the harness believable: with ``synchronous=NORMAL`` records are lost, with ``OFF`` files are broken.
"""

from __future__ import annotations

import random
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy.exc import DatabaseError

from kiosk.uplink import identity
from kiosk.uplink.faults import OutboxFault
from kiosk.uplink.outbox import Outbox
from sync_agent.contract import envelope
from sync_agent.contract.envelope import GENESIS
from tests.system.centre import enrolled
from tests.system.power_cut import Cut, Step, cuts, record

SEED: Final = 20261123


@pytest.fixture(scope="module")
def identity_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The identity of an enrolled device."""
    folder = tmp_path_factory.mktemp("centre")
    with enrolled(folder):
        return folder / "identity"


@dataclass(frozen=True, slots=True)
class Promised:
    """What the program had promised before the cut: starts counted, and the digest of every record kept."""

    epoch: str
    boot: int
    digests: dict[int, str]


def promised(said: Iterable[str]) -> Promised:
    epoch, boot, digests = "", 0, {}
    for line in said:
        word, epoch, *more = line.split()
        if word == "boot":
            boot = int(more[0])
        else:
            digests[int(more[0])] = more[1]
    return Promised(epoch, boot, digests)


def fault_after(cut: Cut, folder: Path, who: identity.Identity) -> str:
    """Start the product on what a cut left, and say what is wrong with it: nothing, or one word for the table of results."""
    cut.rebuild(folder)
    before, path = promised(cut.said), folder / "outbox.db"
    try:
        with closing(Outbox(path)) as outbox:
            epoch, boot, next_seq = outbox.epoch, outbox.boot, outbox.tail().last_seq + 1
        with closing(sqlite3.connect(path)) as database:
            if database.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                return "corrupt"
            rows = database.execute("SELECT seq, digest, message FROM record ORDER BY seq").fetchall()
    except (OutboxFault, DatabaseError, sqlite3.DatabaseError, ValueError):  # the last: a time that is none
        return "corrupt"
    held = {seq: digest for seq, digest, _ in rows}
    if not before.digests.items() <= held.items() or (before.digests and epoch != before.epoch):
        return "lost"
    if before.boot > boot:
        return "a start forgotten"
    if next_seq in before.digests:
        return "a sequence used twice"
    try:
        holds = chain_holds([message for *_, message in rows], who)
    except envelope.Refused:
        return "corrupt"
    return "" if holds else "chain broken"


def chain_holds(messages: Sequence[bytes], who: identity.Identity) -> bool:
    """Whether every record's signature holds, none is missing, and each names the one before."""
    prev = GENESIS
    for number, message in enumerate(messages, start=1):
        one = envelope.read(message, who.signing_key, who.tenant, who.device)
        if (one.event.seq, one.event.prev) != (number, prev):
            return False
        prev = one.digest
    return True


def recorded(identity_dir: Path, state_dir: Path, records: int, sittings: int, *level: str) -> list[Step]:
    folder = state_dir / "kiosk"
    folder.mkdir()
    program: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.system.writer",
        identity_dir,
        folder / "outbox.db",
        str(records),
        str(sittings),
    ]
    return record([*program, *level], folder, state_dir / "trace")


def verdicts(left: Iterator[Cut], state_dir: Path, identity_dir: Path) -> Counter[str]:
    """Count what is wrong after each of some cuts."""
    who, folder = identity.load(identity_dir), state_dir / "after"
    folder.mkdir()
    return Counter(fault_after(cut, folder, who) for cut in left)


def test_no_power_cut_at_any_step_loses_a_promised_record(identity_dir: Path, state_dir: Path) -> None:
    steps = recorded(identity_dir, state_dir, 24, 3)
    found = verdicts(cuts(steps, random.Random(SEED)), state_dir, identity_dir)
    assert found == {"": len(steps) + 1}
    assert len(steps) > 200, "the steps of the outbox were seen"


def test_with_less_syncing_the_same_cuts_lose_records_but_break_no_file(identity_dir: Path, state_dir: Path) -> None:
    found = weakened(identity_dir, state_dir, "NORMAL")
    assert found["lost"] > 10
    assert not found["corrupt"]


def test_without_syncing_the_same_cuts_break_files(identity_dir: Path, state_dir: Path) -> None:
    found = weakened(identity_dir, state_dir, "OFF")
    assert found["lost"] > 10
    assert found["corrupt"] > 5


def weakened(identity_dir: Path, state_dir: Path, level: str) -> Counter[str]:
    """Cut at every second step of a program that syncs less."""
    steps = recorded(identity_dir, state_dir, 24, 3, level)
    return verdicts(cuts(steps, random.Random(SEED), at=range(0, len(steps), 2)), state_dir, identity_dir)


# LONG
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_power_cut_while_the_log_empties_itself_loses_a_promised_record(identity_dir: Path, state_dir: Path) -> None:
    """Three times after every step; so many records that SQLite empties its log into the database by itself, too."""
    steps = recorded(identity_dir, state_dir, 300, 2)
    found = verdicts(cuts(steps, random.Random(SEED), tries=3), state_dir, identity_dir)
    assert found == {"": found.total()}
