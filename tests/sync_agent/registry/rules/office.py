"""An enterprise at the kiosk of the small world: whoever speaks for it proves who they are, sends documents, and asks."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Piece, PieceBytes, Purpose, Request
from sync_agent.contract.parts import Facts, Part
from sync_agent.contract.requests import AgentContact, Attachment, Body, ProfileUpdate, RequestBody, Signatory
from sync_agent.registry import qualifications
from sync_agent.registry.rules import Applied
from sync_agent.registry.tables import (
    Account,
    AgentRow,
    AgentStatus,
    ChainState,
    Enterprise,
    EnterpriseProfile,
    LegalRepStatus,
    Person,
    Region,
    VerificationChain,
)
from system.simulate.people import PEOPLE
from tests.sync_agent.world import NOW, REGISTRY, SITE, World, case, holder, verification

USCC: Final = "91540100MA6T1TEST1"
HEAD: Final = "zhaxi"
AGENT: Final = "deji"

PROFILE: Final = ProfileUpdate(
    based_on=0,
    name="拉萨测试建设有限公司",
    division="540102",
    address="拉萨市测试路1号",
    legal_rep_duty="总经理",
    legal_rep_title="高级工程师",
    founded=date(2010, 1, 1),
)


def picture(size: int = 30_000) -> bytes:
    """Return something that a JPEG begins and ends like, too long for one piece."""
    filler = zlib.crc32(str(size).encode()).to_bytes(4, "big") * (size // 4)
    return b"\xff\xd8\xff\xe0" + filler[: size - 6] + b"\xff\xd9"


def attachment(content: bytes, role: str = "evidence", media: str = "image/jpeg") -> Attachment:
    """Return how a request names a document."""
    values = {"digest": hashlib.sha256(content).hexdigest(), "bytes": len(content), "media": media, "role": role}
    return Attachment.model_validate(values)


class Office:
    """One enterprise whose legal representative is verified."""

    def __init__(
        self,
        world: World,
        region: Region = Region.OUT,
        *,
        kinds: tuple[str, ...] = (),
        profile: ProfileUpdate | None = PROFILE,
        agent: bool = True,
        mobile: str = "13900000000",
    ) -> None:
        self.world = world
        self._session: Session | None = None
        with world.database.write() as session:
            qualifications.load(session)
            people = [Person(number=PEOPLE[who].number, name=PEOPLE[who].name, created_at=NOW) for who in (HEAD, AGENT)]
            session.add_all(people)
            session.flush()
            head, deputy = people
            session.add(
                Enterprise(
                    uscc=USCC,
                    name=PROFILE.name,
                    region=region,
                    legal_rep_person_id=head.id,
                    legal_rep_status=LegalRepStatus.VERIFIED,
                    activity_kinds=list(kinds),
                    profile=0 if profile is None else 1,
                    source="gov_network",
                    created_at=NOW,
                    changed_at=NOW,
                )
            )
            session.flush()
            session.add(Account(id="a-1", uscc=USCC, assurance="high", asserted_at=NOW))
            if profile is not None:
                session.add(EnterpriseProfile(uscc=USCC, version=1, content=profile.model_dump_json(), at=NOW))
        if agent:
            record, message = world.record(case(), None)
            with world.database.write() as session:
                world.enter(session, record, message, NOW)
                session.flush()
                chain = VerificationChain(id="c-1", record_id=record.event.id, uscc=USCC, state=ChainState.USED, at=NOW)
                session.add(chain)
                session.flush()
                contact = AgentContact(number=PEOPLE[AGENT].number, mobile=mobile)
                session.add(
                    AgentRow(
                        uscc=USCC,
                        person_id=deputy.id,
                        legal_rep_person_id=head.id,
                        status=AgentStatus.ACTIVE,
                        chain_id="c-1",
                        contact=contact.model_dump_json(),
                        began_at=NOW,
                    )
                )

    def proves(self, who: str = HEAD, *, at: datetime = NOW) -> str:
        """Have somebody prove who they are, to sign; return the record."""
        facts = verification().model_copy(update={"purpose": Purpose.SIGNING, "enterprise": USCC})
        return self._happens(facts, holder(who), at)[0]

    def sends(self, content: bytes, *, digest: str | None = None, leave_out: int | None = None) -> None:
        """Send a document in pieces."""
        cut = [content[start : start + 24_000] for start in range(0, len(content), 24_000)]
        for index, part in enumerate(cut):
            if index != leave_out:
                named = digest or hashlib.sha256(content).hexdigest()
                facts = Piece(site=SITE, attachment=named, index=index, count=len(cut))
                self._happens(facts, PieceBytes(data=base64.b64encode(part).decode()), NOW)

    def asks(
        self,
        body: Body,
        *attachments: Attachment,
        who: str = HEAD,
        proof: str | None = None,
        at: datetime = NOW + timedelta(minutes=2),
        about: str | None = None,
    ) -> Applied:
        """Have somebody sign for the enterprise and ask for something."""
        facts, sealed = self.request(body, *attachments, who=who, proof=proof, at=at, about=about)
        return self._happens(facts, sealed, at)[1]

    def request(
        self,
        body: Body,
        *attachments: Attachment,
        who: str = HEAD,
        proof: str | None = None,
        at: datetime = NOW + timedelta(minutes=2),
        about: str | None = None,
    ) -> tuple[Request, RequestBody]:
        """Return what somebody asks who has proven who they are."""
        proof = proof or self.proves(who, at=at - timedelta(minutes=1))
        signed_by = Signatory.LEGAL_REPRESENTATIVE if who == HEAD else Signatory.AGENT
        sealed = RequestBody(signed_by=signed_by, signatory_number=PEOPLE[who].number, body=body)
        values = {
            "site": SITE,
            "enterprise": USCC,
            "about": about or body.kind,
            "verification": proof,
            "attachments": attachments,
        }
        return Request.model_validate(values), sealed

    def asks_with_picture(self, body: Body, role: str = "evidence") -> Applied:
        """Ask, with a document that came whole."""
        content = picture()
        self.sends(content)
        return self.asks(body, attachment(content, role))

    def _happens(self, facts: Facts, personal: Part | None, at: datetime) -> tuple[str, Applied]:
        record, message = self.world.record(facts, personal, at)
        assert record.personal(REGISTRY) is not None
        if self._session is not None:
            return record.event.id, self.world.enter(self._session, record, message, at)
        with self.world.database.write() as session:
            return record.event.id, self.world.enter(session, record, message, at)

    @contextmanager
    def all_in(self, session: Session) -> Iterator[None]:
        """Have everything judged in one transaction for the block."""
        self._session = session
        yield
        self._session = None


def codes(applied: Applied) -> set[Code]:
    """Return every code among the gaps of an answer."""
    return {Code(gap.split(":")[0]) for gap in applied.gaps}
