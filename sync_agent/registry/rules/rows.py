"""The rows that records are about: loaded for many records at once, locked where they may change, the same object for each."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.contract.envelope import Record
from sync_agent.contract.kinds import CardHolder, ChainHolders, PersonReference
from sync_agent.contract.parts import Part
from sync_agent.contract.requests import AgentContact, CreditEntry, PersonEntry, RequestBody, SubmissionEntry
from sync_agent.contract.status import Link
from sync_agent.registry.database import insert_absent
from sync_agent.registry.tables import Device, DeviceStatus, Enterprise, Person, Personnel


class Rows:
    """The registry's rows of one transaction. What one record changes in a row, the next one sees."""

    def __init__(self, session: Session, now: datetime) -> None:
        """Begin with nothing.

        Args:
            session: a write transaction; rows of a rolled-back savepoint must not be used again.
            now: the time of this transaction.
        """
        self._session = session
        self._now = now
        self._devices: dict[str, Device] = {}
        self._enterprises: dict[str, Enterprise] = {}
        self._people: dict[str, Person] = {}
        self._places: dict[tuple[str, int], Personnel | None] = {}

    def load(self, records: Iterable[tuple[Record, Part]]) -> None:
        """Load what some records are about: each table in one go and in one order, so that no two transactions lock crosswise.

        The order of all who lock: enterprises, then people, then what hangs on them.
        """
        records = list(records)
        devices = {device_of(record) for record, _ in records}
        usccs = {uscc for record, _ in records if (uscc := enterprise_of(record)) is not None}
        numbers = {number for _, personal in records for number in _numbers(personal)}
        for device in self._session.scalars(select(Device).where(Device.id.in_(devices))):
            self._devices[device.id] = device
        if usccs:
            enterprises = select(Enterprise).where(Enterprise.uscc.in_(usccs)).order_by(Enterprise.uscc).with_for_update()
            for enterprise in self._session.scalars(enterprises):
                self._enterprises[enterprise.uscc] = enterprise
        people = select(Person).where(Person.number_index.in_(numbers)).order_by(Person.id).with_for_update()
        for person in self._session.scalars(people):
            self._people[person.number] = person
        known = [person.id for person in self._people.values()]
        places = select(Personnel).where(Personnel.person_id.in_(known)).order_by(Personnel.id).with_for_update()
        for place in self._session.scalars(places):
            self._places[place.site_id, place.person_id] = place

    def device(self, record: Record) -> Device:
        """Return the device that signed a record."""
        name = device_of(record)
        if name not in self._devices:
            self._devices[name] = self._session.get_one(Device, name)
        return self._devices[name]

    def enterprise(self, uscc: str) -> Enterprise | None:
        """Return an enterprise. Its row is locked, which puts all commands of one enterprise in order."""
        if uscc not in self._enterprises:
            enterprise = self._session.get(Enterprise, uscc, with_for_update=True)
            if enterprise is None:
                return None
            self._enterprises[uscc] = enterprise
        return self._enterprises[uscc]

    def person(self, number: str) -> Person | None:
        """Return the person of an identity number."""
        if number not in self._people:
            asked = select(Person).where(Person.has_number(number)).with_for_update()
            person = self._session.scalar(asked)
            if person is None:
                return None
            self._people[number] = person
        return self._people[number]

    def person_of(self, holder: CardHolder) -> Person:
        """Return the person of a card; somebody new is remembered by name and number alone."""
        person = self.person(holder.number)
        if person is None:
            number = {"number_index": holder.number, "number": holder.number}
            insert_absent(self._session, Person, {**number, "name": holder.name, "created_at": self._now})
            person = self.person(holder.number)
        if person is None:
            raise LookupError("a person who was just inserted is not there")
        return person

    def place(self, site_id: str, person: Person) -> Personnel | None:
        """Return a person's place on the roster of a site."""
        key = (site_id, person.id)
        if key not in self._places:
            asked = select(Personnel).where(Personnel.site_id == site_id, Personnel.person_id == person.id)
            self._places[key] = self._session.scalar(asked.with_for_update())
        return self._places[key]

    def status(self, device: Device) -> DeviceStatus:
        """Return the device's status row; a device may be heard here before it said anything of itself."""
        new = {"device_id": device.id, "link": Link.OFFLINE, "link_since": self._now, "heard_at": self._now}
        insert_absent(self._session, DeviceStatus, new)
        return self._session.scalars(select(DeviceStatus).where(DeviceStatus.device_id == device.id).with_for_update()).one()


def device_of(record: Record) -> str:
    """Return the name of the device that signed a record."""
    return record.event.source.rsplit("/", 1)[1]


def enterprise_of(record: Record) -> str | None:
    """Return the code of the enterprise that a record speaks of."""
    uscc: str | None = getattr(record.facts, "enterprise", None)
    return uscc


def _numbers(personal: Part) -> list[str]:
    """Return the identity numbers of everybody a record is about."""
    match personal:
        case CardHolder(number=number) | PersonReference(number=number):
            return [number]
        case ChainHolders(legal_representative=one, agent=other):
            return [one.number, other.number]
        case RequestBody(signatory_number=signatory, body=body):
            match body:
                case AgentContact(number=number) | PersonEntry(number=number) | SubmissionEntry(technical_lead=number):
                    return [signatory, number]
                case CreditEntry(number=number) if number:
                    return [signatory, number]
                case _:
                    return [signatory]
        case _:
            return []
