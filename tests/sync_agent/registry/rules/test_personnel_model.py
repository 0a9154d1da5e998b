"""S44-S54, 4.5, 4.6 in any order: people and their bid locks in the registry against models of a few lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Outcome
from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import EmploymentKind
from sync_agent.registry.database import Database
from sync_agent.registry.migrations import migrate
from sync_agent.registry.protect import Vault
from sync_agent.registry.rules import library, locks_rows, personnel_rows
from sync_agent.registry.rules.locks import CannotRelease, Happened, TenderEvent
from sync_agent.registry.tables import BidLock, LibraryStatus, Person, Release
from system.simulate.people import PEOPLE
from tests.sync_agent.registry.rules.crew import ZONE, Crew, entry, named, reported
from tests.sync_agent.world import NOW, World

WHO: Final = ("wang", "chen")
TENDERS: Final = ("t-1", "t-2")
DAY: Final = timedelta(days=1)
BEGUN: Final = st.sampled_from([None, LibraryStatus.ADDED, LibraryStatus.CAPTURED, LibraryStatus.IN_LIBRARY])
SELDOM: Final = st.integers(0, 5).map(lambda one: one == 5)


def new_crew() -> tuple[Database, Crew]:
    database = Database("sqlite:///:memory:", Vault(bytes(range(32))))
    migrate(database.engine)
    return database, Crew(World(database))


# --- people ---------------------------------------------------------------------------------------------------------


@dataclass
class Somebody:
    """What the model knows of a person: how far they are, how often they failed, whether a bid locks them."""

    status: LibraryStatus | None = None
    fails: int = 0
    is_locked: bool = False
    tenders: int = 0

    @property
    def is_there(self) -> bool:
        return self.status not in (None, LibraryStatus.LEFT)


class People(RuleBasedStateMachine):
    """Cards, faces, reports, locks and departures of two people of one enterprise, who are registered or added by hand."""

    kinds: Final = {"wang": EmploymentKind.TITLED, "chen": EmploymentKind.REGISTERED}

    def __init__(self) -> None:
        super().__init__()
        self.database, self.crew = new_crew()
        self.now = NOW
        self.people = {who: Somebody() for who in WHO}
        with self.database.write() as session:
            session.add_all(Person(number=PEOPLE[who].number, name=PEOPLE[who].name, created_at=NOW) for who in WHO)
        self.ids = {who: self.crew.person(who) for who in WHO}

    @initialize(begun=st.tuples(BEGUN, BEGUN))
    def some_are_there(self, begun: tuple[LibraryStatus | None, LibraryStatus | None]) -> None:
        for who, status in zip(WHO, begun, strict=True):
            if status is None:
                continue
            if who == "wang":
                self.wang_is_added()
            else:
                self.chen_is_reported_or_not(is_named=True)
            if status is not LibraryStatus.ADDED:
                self.a_card_is_read(who)
            if status is LibraryStatus.IN_LIBRARY:
                self.a_face_is_compared(who, is_other=False, is_match=True, tries=1)

    @rule()
    def wang_is_added(self) -> None:
        one = self.people["wang"]
        applied = self.crew.adds(entry("wang"))
        if one.is_there:
            assert applied.code is Code.DUPLICATE
        elif one.is_locked:
            assert applied.code is Code.PERSON_BID_LOCKED
        else:
            assert applied.code is None
            one.status, one.fails = LibraryStatus.ADDED, 0

    @rule(is_named=st.booleans())
    def chen_is_reported_or_not(self, is_named: bool) -> None:
        one = self.people["chen"]
        self.now += timedelta(minutes=1)
        told = self.crew.syncs(*([reported("chen")] if is_named else []), as_of=self.now)
        if is_named:
            assert (told.added, told.kept) == ((0, 1) if one.is_there else (1, 0))
            if not one.is_there:
                one.status, one.fails = LibraryStatus.SYNCED, 0
        elif one.is_there:
            assert (told.left, told.held) == ((0, 1) if one.is_locked else (1, 0))
            if not one.is_locked:
                one.status = LibraryStatus.LEFT

    @rule(who=st.sampled_from(WHO))
    def a_card_is_read(self, who: str) -> None:
        one = self.people[who]
        applied = self.crew.captures(who)
        if not one.is_there:
            assert applied.code is Code.PERSON_NOT_EXPECTED
        elif one.fails >= 3:
            assert applied.standing is Standing.IN_REVIEW
        else:
            assert applied.standing is Standing.ACCEPTED
            if one.status is not LibraryStatus.IN_LIBRARY:
                one.status = LibraryStatus.CAPTURED

    @rule(who=st.sampled_from(WHO), is_other=SELDOM, is_match=st.booleans(), tries=st.integers(1, 3))
    def a_face_is_compared(self, who: str, is_other: bool, is_match: bool, tries: int) -> None:
        one = self.people[who]
        card = next(other for other in WHO if other != who) if is_other else who
        reference = next((str(row.id) for row in self.crew.rows() if row.person_id == self.ids[who]), "77")
        applied = self.crew.compares(card, Outcome.MATCH if is_match else Outcome.NO_MATCH, tries=tries, reference=reference)
        if not one.is_there:
            assert applied.code is Code.PERSON_NOT_EXPECTED
        elif card != who:
            assert applied.code is Code.PERSON_MISMATCH
        elif one.fails >= 3:
            assert applied.standing is Standing.IN_REVIEW
        elif one.status in (LibraryStatus.SYNCED, LibraryStatus.ADDED):
            assert applied.code is Code.STEP_LOCKED
        elif is_match:
            assert applied.effective_from is not None
            one.status, one.fails = LibraryStatus.IN_LIBRARY, 0
        elif one.status is LibraryStatus.IN_LIBRARY:
            assert applied.code is Code.NOT_VERIFIED
        else:
            one.fails += tries
            assert (applied.code is Code.NOT_VERIFIED) is (one.fails < 3)
            assert (applied.case_number is not None) is (one.fails >= 3)

    @rule(who=st.sampled_from(WHO), is_match=st.booleans(), tries=st.integers(1, 3))
    def somebody_visits(self, who: str, is_match: bool, tries: int) -> None:
        """Card, then face, as at a kiosk: what happens most."""
        if not self.people[who].is_there:
            if who == "chen":
                self.chen_is_reported_or_not(is_named=True)
            else:
                self.wang_is_added()
        self.a_card_is_read(who)
        self.a_face_is_compared(who, is_other=False, is_match=is_match, tries=tries)

    @rule(who=st.sampled_from(WHO))
    def somebody_leaves(self, who: str) -> None:
        one = self.people[who]
        row = next((row for row in self.crew.rows() if row.person_id == self.ids[who]), None)
        if row is None:
            return
        with self.database.write() as session:
            code = personnel_rows.leave(session, row.id, "staff:a", self.now, ZONE)
        if not one.is_there:
            assert code is Code.STALE
        elif one.is_locked:
            assert code is Code.PERSON_BID_LOCKED
        else:
            assert code is None
            one.status = LibraryStatus.LEFT

    @rule(who=st.sampled_from(WHO))
    def a_bid_begins_or_fails(self, who: str) -> None:
        one = self.people[who]
        kind = Happened.FAILED if one.is_locked else Happened.OPENED
        one.tenders += not one.is_locked
        one.is_locked = not one.is_locked
        assert self.crew.hears(kind, who, tender=f"{who}-{one.tenders}", at=self.now) == 1

    @invariant()
    def the_registry_is_as_the_model(self) -> None:
        rows = {row.person_id: row for row in self.crew.rows()}
        usable = {one.person for one in self.crew.people(self.now) if library.usable(one, self.now.astimezone(ZONE).date())}
        for who, one in self.people.items():
            person = self.ids[who]
            row = rows.get(person)
            assert (None if row is None else row.status) is one.status
            is_usable = one.status is LibraryStatus.IN_LIBRARY and not one.is_locked
            assert (person in usable) is is_usable
            if row is not None and one.is_there:
                assert (row.kind, row.fails) == (self.kinds[who], one.fails)

    def teardown(self) -> None:
        self.database.close()


# --- locks ----------------------------------------------------------------------------------------------------------


@dataclass
class Bid:
    """What the model knows of one lock: the last day of its publicity, and how it ended."""

    last: date | None = None
    ended: Release | None = None
    is_known: bool = field(default=False)

    def look(self, now: datetime) -> None:
        """End it where the last day is over."""
        if self.is_known and self.ended is None and self.last is not None and now.astimezone(ZONE).date() > self.last:
            self.ended = Release.AWARD


class Locks(RuleBasedStateMachine):
    """Events of two tenders that name one person, late, repeated and out of order, while the days pass."""

    def __init__(self) -> None:
        super().__init__()
        self.database, self.crew = new_crew()
        self.crew.syncs(reported("wang"))
        self.crew.enters("wang")
        self.now = NOW
        self.bids = {tender: Bid() for tender in TENDERS}

    @rule(tender=st.sampled_from(TENDERS), kind=st.sampled_from(Happened), last=st.integers(-3, 5), ago=st.integers(0, 4))
    def an_event_arrives(self, tender: str, kind: Happened, last: int, ago: int) -> None:
        bid = self.bids[tender]
        bid.is_known = True
        bid.look(self.now)
        with self.database.write() as session:
            day = self.now.astimezone(ZONE).date() + last * DAY
            at = self.now - ago * DAY
            bid_of = locks_rows.Tender(tender, "", people=(named("wang"),))
            locks_rows.take(session, bid_of, TenderEvent(kind, at, day), self.now, ZONE)
        if bid.ended is None and kind is Happened.FAILED:
            bid.ended = Release.FAILED
        elif bid.ended is None and kind is not Happened.OPENED:
            bid.last = max(bid.last or day, day)
            bid.look(self.now)

    @rule(hours=st.integers(1, 60))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        for bid in self.bids.values():
            bid.look(self.now)

    @rule()
    def the_duty_looks(self) -> None:
        with self.database.write() as session:
            locks_rows.release_due(session, self.now, ZONE)
        assert {row.tender for row in self.crew.locks() if row.released_at is None} == self.open()

    @rule(tender=st.sampled_from(TENDERS), reason=st.sampled_from(["", "投标人退出"]))
    def staff_releases(self, tender: str, reason: str) -> None:
        row = self.row(tender)
        can = tender in self.open() and bool(reason)
        try:
            with self.database.write() as session:
                locks_rows.release(session, 0 if row is None else row.id, reason, "staff:a", self.now, ZONE)
        except CannotRelease:
            assert not can
        else:
            assert can
            self.bids[tender].ended = Release.MANUAL

    @invariant()
    def free_only_when_all_are_released(self) -> None:
        assert self.crew.one(self.now).is_locked is bool(self.open())

    @invariant()
    def what_ended_ended_as_in_the_model(self) -> None:
        for tender, bid in self.bids.items():
            row = self.row(tender)
            if row is not None and row.release is not None:
                assert row.release is bid.ended

    def open(self) -> set[str]:
        return {tender for tender, bid in self.bids.items() if bid.is_known and bid.ended is None}

    def row(self, tender: str) -> BidLock | None:
        return next((row for row in self.crew.locks() if row.tender == tender), None)

    def teardown(self) -> None:
        self.database.close()


_FEW: Final = settings(max_examples=15, stateful_step_count=15, deadline=None)
TestPeople = People.TestCase
TestPeople.settings = _FEW
TestLocks = Locks.TestCase
TestLocks.settings = _FEW
