from __future__ import annotations

import sys

import pytest
from sqlalchemy import select

from sync_agent.registry import scanning
from sync_agent.registry.scanning import ScanFailed
from sync_agent.registry.tables import ApplicationState, Document, MakeupRow, Region, Scan
from tests.sync_agent.registry.rules.office import Office
from tests.sync_agent.registry.rules.test_projects import ENTRY
from tests.sync_agent.world import NOW, World


def program(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import sys; content = sys.stdin.buffer.read(); {code}")


CLEAN = program("sys.exit(not content.startswith(bytes([255, 216])))")
"""A real program that reads what it is given: clean is what begins like a JPEG."""


def state(world: World) -> tuple[Scan, bool, ApplicationState]:
    with world.database.read() as session:
        document, entry = session.scalars(select(Document)).one(), session.scalars(select(MakeupRow)).one()
        return document.scan, document.content is not None, entry.state


def test_an_infected_document_is_deleted_and_its_application_returned(world: World) -> None:
    Office(world, Region.IN).asks_with_picture(ENTRY)
    assert scanning.scan(world.database, program("sys.exit(1)"), 20, NOW) == 1
    assert state(world) == (Scan.INFECTED, False, ApplicationState.RETURNED)
    with world.database.read() as session:
        assert session.scalars(select(MakeupRow.reason)).one() == "ATTACHMENT_REFUSED:evidence"


def test_a_clean_document_stays_as_it_is_and_is_looked_at_once(world: World) -> None:
    Office(world, Region.IN).asks_with_picture(ENTRY)
    assert scanning.scan(world.database, CLEAN, 20, NOW) == 0
    assert state(world) == (Scan.CLEAN, True, ApplicationState.SUBMITTED)
    assert scanning.scan(world.database, program("sys.exit(1)"), 20, NOW) == 0


@pytest.mark.parametrize("command", [program("sys.exit(2)"), ("/no/such/scanner",), program("import time; time.sleep(60)")])
def test_a_check_without_an_answer_leaves_the_document_not_scanned(world: World, command: tuple[str, ...]) -> None:
    Office(world, Region.IN).asks_with_picture(ENTRY)
    with pytest.raises(ScanFailed):
        scanning.scan(world.database, command, 0.3, NOW)
    assert state(world) == (Scan.NOT_SCANNED, True, ApplicationState.SUBMITTED)
    assert scanning.scan(world.database, CLEAN, 20, NOW) == 0
    assert state(world)[0] is Scan.CLEAN


def test_without_a_check_a_document_says_that_it_was_not_scanned(world: World) -> None:
    Office(world, Region.IN).asks_with_picture(ENTRY)
    assert scanning.scan(world.database, (), 1, NOW) == 0
    assert state(world) == (Scan.NOT_SCANNED, True, ApplicationState.SUBMITTED)
