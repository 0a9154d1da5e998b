from __future__ import annotations

import pytest
from sqlalchemy import func, select

from sync_agent.registry.database import Database
from sync_agent.registry.roster import BadRoster, import_people, number_fault
from sync_agent.registry.tables import AuditEvent, LibraryStatus, Person, Personnel
from system.simulate.people import PEOPLE
from tests.sync_agent.world import NOW

ZHAXI, WANG, KARMA = PEOPLE["zhaxi"], PEOPLE["wang"], PEOPLE["karma-2017"]


def take(database: Database, text: str) -> int:
    with database.write() as session:
        return import_people(session, text, "site-7", NOW)


def roster(database: Database) -> dict[str, LibraryStatus]:
    with database.read() as session:
        rows = session.execute(select(Person, Personnel).join(Personnel))
        return {person.name: place.status for person, place in rows}


@pytest.mark.parametrize("number", sorted(person.number for person in PEOPLE.values()))
def test_ok__a_number_with_its_check_character(number: str) -> None:
    assert number_fault(number) is None


@pytest.mark.parametrize(
    "number", ["", "54010219880315001", ZHAXI.number[:-1] + "2", "5401021988031500I1", WANG.number[:-1] + "x", "NPL54018801010"]
)
def test_fail__a_number_that_cannot_be(number: str) -> None:
    assert number_fault(number) is not None


def test_ok__a_list_from_a_spreadsheet_is_taken_in(database: Database) -> None:
    wide = WANG.number.translate({ord(d): chr(ord(d) + 0xFEE0) for d in "0123456789"}).lower()
    text = f"\ufeffNumber, Name\r\n{ZHAXI.number},{ZHAXI.name}\r\n {wide} , {WANG.name} \r\n{KARMA.number},{KARMA.name}\r\n"
    assert take(database, text) == 3
    assert roster(database) == dict.fromkeys([ZHAXI.name, WANG.name, KARMA.name], LibraryStatus.ADDED)


def test_ok__the_same_list_again_changes_nothing(database: Database) -> None:
    text = f"name,number\n{ZHAXI.name},{ZHAXI.number}\n"
    assert take(database, text) == take(database, text) == 1
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Person)) == 1
        assert [event.action for event in session.scalars(select(AuditEvent))] == ["roster.import"] * 2


@pytest.mark.parametrize(
    ("before", "after"),
    [(LibraryStatus.LEFT, LibraryStatus.ADDED), (LibraryStatus.IN_LIBRARY, LibraryStatus.IN_LIBRARY)],
)
def test_ok__who_left_is_expected_again_and_who_is_there_stays(
    database: Database, before: LibraryStatus, after: LibraryStatus
) -> None:
    text = f"name,number\n{ZHAXI.name},{ZHAXI.number}\n"
    take(database, text)
    with database.write() as session:
        place = session.scalars(select(Personnel)).one()
        place.status, place.effective_from = before, NOW
    take(database, text)
    assert roster(database) == {ZHAXI.name: after}


def test_fail__every_bad_line_is_named_and_nothing_is_taken(database: Database) -> None:
    wrong = ZHAXI.number[:-1] + "2"
    text = (
        f"name,number\n{WANG.name},{WANG.number}\n{ZHAXI.name},{wrong}\n,{KARMA.number}\n{WANG.name},{WANG.number}\n{WANG.name}\n"
    )
    with pytest.raises(BadRoster) as told:
        take(database, text)
    said = str(told.value)
    assert "line 3: the number's check character does not fit" in said
    assert "line 4: the name is missing" in said
    assert "line 5: the same number stands on line 2" in said
    assert "line 6: the number does not have 18 digits" in said
    assert not any(value in said for value in (ZHAXI.name, wrong, WANG.number, WANG.name))
    assert roster(database) == {}


@pytest.mark.parametrize("text", ["", "name\nx\n", "name,number,phone\n", f"{ZHAXI.name},{ZHAXI.number}\n"])
def test_fail__a_list_without_the_right_columns(database: Database, text: str) -> None:
    with pytest.raises(BadRoster, match=r"line 1: the columns must be name and number") as told:
        take(database, text)
    assert ZHAXI.name not in str(told.value)
