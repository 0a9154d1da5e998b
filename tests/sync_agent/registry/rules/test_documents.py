from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Piece, PieceBytes
from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import MakeupEntry
from sync_agent.registry.rules import documents_rows
from sync_agent.registry.rules.documents import KEPT_FOR, Arrived, gather, piece
from sync_agent.registry.rules.requests import Lack
from sync_agent.registry.tables import Document, MakeupRow, PieceRow, Region
from tests.sync_agent.registry.rules.office import Office, attachment, picture
from tests.sync_agent.registry.rules.test_projects import ENTRY
from tests.sync_agent.world import NOW, SITE, World


def cut(content: bytes, size: int) -> list[Arrived]:
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    return [Arrived(index, len(parts), part) for index, part in enumerate(parts)]


@given(st.binary(max_size=300), st.integers(40, 200), st.randoms(use_true_random=False))
def test_pieces_in_any_order_and_twice_make_the_whole(middle: bytes, size: int, random: Random) -> None:
    content = b"\xff\xd8\xff" + middle + b"\xff\xd9"
    named = attachment(content)
    pieces = [(named.digest, one) for one in cut(content, size) * 2]
    random.shuffle(pieces)
    wholes, lacks = gather([named], pieces)
    assert [whole.content for whole in wholes] == [content] and lacks == []


@given(st.integers(0, 2))
def test_a_document_with_a_piece_left_out_is_missing(left_out: int) -> None:
    content = picture(60_000)
    named = attachment(content)
    pieces = [(named.digest, one) for one in cut(content, 24_000) if one.index != left_out]
    assert gather([named], pieces) == ([], [Lack(Code.ATTACHMENT_MISSING, "evidence")])


def test_a_document_is_refused_that_is_not_what_it_says_it_is() -> None:
    """Other bytes than the digest's, another size, another kind; and each as it should be is taken."""
    content = picture(100)
    right = attachment(content)
    pdf = b"%PDF-1.7\n" + bytes(50) + b"%%EOF\n"
    for named, came in (
        (right, content[:-3] + b"!\xff\xd9"),
        (right.model_copy(update={"bytes": 99}), content),
        (attachment(content, media="image/png"), content),
        (attachment(pdf, media="image/jpeg"), pdf),
        (attachment(content[:-2] + b"xx"), content[:-2] + b"xx"),
    ):
        assert gather([named], [(named.digest, Arrived(0, 1, came))]) == ([], [Lack(Code.ATTACHMENT_REFUSED, "evidence")])
    for named, came in ((right, content), (attachment(pdf, media="application/pdf"), pdf)):
        assert gather([named], [(named.digest, Arrived(0, 1, came))])[1] == []


def test_of_two_pieces_for_one_place_the_newer_counts() -> None:
    content = picture(100)
    named = attachment(content)
    good, bad = (named.digest, Arrived(0, 1, content)), (named.digest, Arrived(0, 1, b"\xff\xd8\xff?"))
    assert gather([named], [good, bad])[1] == []
    assert gather([named], [bad, good])[1] == [Lack(Code.ATTACHMENT_REFUSED, "evidence")]


def test_more_than_a_record_may_carry_is_refused() -> None:
    named = attachment(picture(100))
    heavy = [named.model_copy(update={"bytes": 6_000_000})] * 6
    assert Lack(Code.ATTACHMENT_REFUSED, "total") in gather(heavy, [])[1]
    assert Lack(Code.ATTACHMENT_REFUSED, "total") not in gather(heavy[:5], [])[1]


@pytest.mark.parametrize(
    ("index", "count", "data", "standing"),
    [
        (0, 1, base64.b64encode(b"x").decode(), Standing.ACCEPTED),
        (1, 1, base64.b64encode(b"x").decode(), Standing.REFUSED),
        (0, 1, "", Standing.REFUSED),
        (0, 1, "no base64!", Standing.REFUSED),
        (0, 1, base64.b64encode(bytes(24_000)).decode(), Standing.REFUSED),
    ],
)
def test_a_piece_lies_within_the_whole_and_can_be_read(index: int, count: int, data: str, standing: Standing) -> None:
    facts = Piece(site=SITE, attachment="0" * 64, index=index, count=count)
    # The last one is as long as the contract allows, and one byte longer than a piece is.
    sealed = PieceBytes(data=data if len(data) < 32_000 else base64.b64encode(bytes(24_001)).decode()[:32_000])
    assert piece(facts, sealed).standing is (standing if len(data) < 32_000 else Standing.ACCEPTED)


def rows(world: World, kind: type[PieceRow | Document | MakeupRow]) -> int:
    with world.database.read() as session:
        return session.scalars(select(func.count()).select_from(kind)).one()


def test_a_document_goes_from_pieces_into_the_record_that_names_it(world: World) -> None:
    """S58: pieces are held; with the entry the document is kept whole, and they are gone."""
    office, content = Office(world, Region.IN), picture()
    office.sends(content)
    assert (rows(world, PieceRow), rows(world, Document)) == (2, 0)
    assert office.asks(ENTRY, attachment(content)).standing is Standing.ACCEPTED
    assert (rows(world, PieceRow), rows(world, Document)) == (0, 1)
    with world.database.read() as session:
        kept = session.scalars(select(Document)).one()
        assert kept.content == content and kept.digest == hashlib.sha256(content).hexdigest()


def test_a_request_whose_document_lacks_a_piece_changes_nothing(world: World) -> None:
    office, content = Office(world, Region.IN), picture()
    office.sends(content, leave_out=1)
    answer = office.asks(ENTRY, attachment(content, "contract"))
    assert (answer.code, answer.gaps) == (Code.ATTACHMENT_MISSING, ("ATTACHMENT_MISSING:contract",))
    assert (rows(world, PieceRow), rows(world, Document), rows(world, MakeupRow)) == (1, 0, 0)
    office.sends(content)
    assert office.asks(ENTRY, attachment(content, "contract")).standing is Standing.ACCEPTED


def test_pieces_proof_and_request_judged_together_are_as_good_as_one_by_one(world: World) -> None:
    """As the judge has it: many records in one transaction that flushes nothing by itself."""
    office, content = Office(world, Region.IN), picture()
    with world.database.write() as session, session.no_autoflush, office.all_in(session):
        office.sends(content)
        assert office.asks(ENTRY, attachment(content)).standing is Standing.ACCEPTED
        assert office.asks(ENTRY, attachment(content)).gaps == ("DUPLICATE:project_code", "ATTACHMENT_MISSING:evidence")
    assert (rows(world, PieceRow), rows(world, Document), rows(world, MakeupRow)) == (0, 1, 1)


def test_other_bytes_under_the_same_digest_are_refused(world: World) -> None:
    office, content = Office(world, Region.IN), picture()
    office.sends(picture(29_000), digest=attachment(content).digest)
    assert office.asks(ENTRY, attachment(content)).code is Code.ATTACHMENT_REFUSED
    assert rows(world, Document) == 0


def test_pieces_that_nobody_took_are_deleted_after_a_week(world: World) -> None:
    Office(world).sends(picture())
    with world.database.write() as session:
        documents_rows.clear_out(session, NOW + KEPT_FOR)
    assert rows(world, PieceRow) == 2
    with world.database.write() as session:
        documents_rows.clear_out(session, NOW + KEPT_FOR + timedelta(seconds=1))
    assert rows(world, PieceRow) == 0


def test_what_the_body_is_and_what_the_record_says_it_is_about_must_agree(world: World) -> None:
    answer = Office(world, Region.IN).asks(MakeupEntry.model_validate(ENTRY.model_dump()), about="credit")
    assert (answer.code, answer.gaps) == (Code.WRONG_CONTENT, ("WRONG_CONTENT:about",))
