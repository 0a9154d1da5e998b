"""The slip: five ways in which a text proves nothing, one in which it does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import qrcode
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from sync_agent.contract import cose, slip
from sync_agent.contract.kinds import KINDS, Health, Outcome, Piece
from sync_agent.contract.slip import Entry, NotProven, Standing, Verdict

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
AGENT, DEVICE, OTHER = (OKPKey.generate_key("Ed25519") for _ in range(3))
PUBLISHED = (OKPKey.import_key(AGENT.as_dict(private=False)),)
KEY_ID = slip.key_id(AGENT)
RECORD = UUID("019aaf52-6f00-7cc0-8000-0123456789ab")
ENTRY = Entry(RECORD, NOW, "verification", Outcome.MATCH, Standing.EFFECTIVE)


def attested(record_key: OKPKey = DEVICE, agent_key: OKPKey = AGENT, device: str = "gate-north-1") -> bytes:
    since, until = NOW - timedelta(days=1), NOW + timedelta(days=90)
    return slip.attest(record_key, device=device, site="site-12", valid_from=since, valid_until=until, agent_key=agent_key)


def written(entry: Entry = ENTRY) -> str:
    return slip.text(slip.write(entry, attested(), DEVICE))


def verdict(text: str, now: datetime = NOW) -> Verdict | None:
    try:
        slip.check(text, PUBLISHED, now)
    except NotProven as why:
        return why.verdict
    return None


def test_ok__a_slip_proves_what_the_device_said_and_which_device_it_was() -> None:
    assert slip.check(written(), PUBLISHED, NOW) == slip.Slip(ENTRY, "gate-north-1", "site-12")


@pytest.mark.parametrize("standing", Standing)
@pytest.mark.parametrize("outcome", [*Outcome, None])
def test_ok__every_outcome_and_standing_has_its_number(outcome: Outcome | None, standing: Standing) -> None:
    entry = Entry(RECORD, NOW, "verification", outcome, standing)
    assert slip.check(written(entry), PUBLISHED, NOW).entry == entry


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {Health.kind, Piece.kind}))
def test_ok__every_kind_of_a_visit_has_its_number(kind: str) -> None:
    entry = Entry(RECORD, NOW, kind, None, Standing.KEPT)
    assert slip.check(written(entry), PUBLISHED, NOW).entry == entry


def address(text: str) -> str:
    return "https://check.example/slip/#" + text.removeprefix(slip.PREFIX)


@pytest.mark.parametrize("form", [address, str.lower, lambda text: f" {text[:90]}\n{text[90:]}\n"])
def test_ok__behind_an_address_in_small_letters_and_broken_into_lines(form: Callable[[str], str]) -> None:
    assert verdict(form(written())) is None


def test_the_address_is_before_the_fragment() -> None:
    made = slip.text(slip.write(ENTRY, attested(), DEVICE), "https://check.example/slip/")
    before, mark, fragment = made.partition("#")
    assert (before, mark) == ("https://check.example/slip/", "#")
    assert fragment.isalnum() and fragment.isupper()


def test_fail__no_byte_can_be_changed() -> None:
    data = slip.write(ENTRY, attested(), DEVICE)
    assert verdict(slip.text(data)) is None
    for at in range(len(data)):
        forged = bytes([*data[:at], data[at] ^ 1, *data[at + 1 :]])
        assert verdict(slip.text(forged)) in {Verdict.FORGED, Verdict.NOT_A_SLIP, Verdict.UNKNOWN_KEY}, at


def test_fail__an_attestation_by_a_key_that_was_not_published() -> None:
    text = slip.text(slip.write(ENTRY, attested(agent_key=OTHER), DEVICE))
    assert verdict(text) is Verdict.UNKNOWN_KEY
    slip.check(text, [OTHER], NOW)


def test_fail__another_key_under_the_name_of_a_published_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(slip, "key_id", lambda _: KEY_ID)
        attestation = attested(agent_key=OTHER)
    assert verdict(slip.text(slip.write(ENTRY, attestation, DEVICE))) is Verdict.FORGED


def test_fail__a_slip_by_another_key_than_the_attested() -> None:
    assert verdict(slip.text(slip.write(ENTRY, attested(), OTHER))) is Verdict.FORGED


def test_fail__an_attestation_changed_for_another_of_the_same_key() -> None:
    """The slip's signature covers its attestation: it cannot be moved to another name."""
    data, own, other = slip.write(ENTRY, attested(), DEVICE), attested(), attested(device="gate-south-9")
    assert len(own) == len(other)
    assert verdict(slip.text(data.replace(own, other))) is Verdict.FORGED
    assert verdict(slip.text(data.replace(own, own))) is None


def test_fail__an_attestation_is_not_a_slip() -> None:
    assert verdict(slip.text(attested())) is Verdict.NOT_A_SLIP


@pytest.mark.parametrize("days", [-1.01, 90.01])
def test_fail__signed_when_the_attestation_did_not_hold(days: float) -> None:
    text = written(Entry(RECORD, NOW + timedelta(days=days), "verification", Outcome.MATCH, Standing.KEPT))
    assert verdict(text, now=NOW + timedelta(days=200)) is Verdict.OUT_OF_TIME


def test_a_device_can_tell_whether_its_attestation_is_for_its_key_and_the_time() -> None:
    day = timedelta(days=1)
    assert [slip.covers(attested(), DEVICE, NOW + n * day) for n in (-1, 0, 90)] == [True, True, True]
    assert [slip.covers(attested(), DEVICE, NOW + n * day) for n in (-2, 91)] == [False, False]
    assert not slip.covers(attested(), OTHER, NOW)
    assert not slip.covers(b"nor a word", DEVICE, NOW)


def test_ok__a_slip_is_evidence_long_after_its_attestation_ended() -> None:
    assert verdict(written(), now=NOW + timedelta(days=3650)) is None


def test_fail__a_slip_from_the_future() -> None:
    assert verdict(written(), now=NOW - slip.AHEAD + timedelta(seconds=1)) is None
    assert verdict(written(), now=NOW - slip.AHEAD - timedelta(seconds=1)) is Verdict.OUT_OF_TIME


@pytest.mark.parametrize("field", [{1: 2}, {4: 99}, {5: 99}, {6: 99}, {1: 2, 7: "more"}])
def test_fail__newer_content_is_called_new_and_not_forged(field: dict[int, cose.Value]) -> None:
    said: dict[int, cose.Value] = {1: 1, 2: RECORD.bytes, 3: int(NOW.timestamp()), 4: 1, 5: 1, 6: 1}
    assert verdict(slip.text(cose.sign1({cose.KCWT: attested()}, said, DEVICE, b"rz-slip-1"))) is None
    text = slip.text(cose.sign1({cose.KCWT: attested()}, said | field, DEVICE, b"rz-slip-1"))
    assert verdict(text) is Verdict.TOO_NEW


@pytest.mark.parametrize("field", [{2: b"short"}, {3: 2**32}, {3: -1}, {4: "1"}, {7: 1}, {1: "1"}])
def test_fail__signed_content_of_another_form(field: dict[int, cose.Value]) -> None:
    said: dict[int, cose.Value] = {1: 1, 2: RECORD.bytes, 3: int(NOW.timestamp()), 4: 1, 5: 1, 6: 1}
    text = slip.text(cose.sign1({cose.KCWT: attested()}, said | field, DEVICE, b"rz-slip-1"))
    assert verdict(text) is Verdict.NOT_A_SLIP


@pytest.mark.parametrize(
    "text", ["", "RZ1:", "RZ1:0", "RZ1:ÄÖ", "https://check.example/", "RZ1:" + "A" * 3000, "RZ1:AB", "RZ1:AAAAAAAA="]
)
def test_fail__nonsense_is_not_a_slip(text: str) -> None:
    assert verdict(text) is Verdict.NOT_A_SLIP


@given(st.text(max_size=200) | st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", max_size=600).map(lambda body: slip.PREFIX + body))
def test_whatever_the_text_only_the_declared_fault_escapes(text: str) -> None:
    assert verdict(text) is not None


@given(st.data())
def test_whatever_becomes_of_the_bytes_only_the_declared_fault_escapes(data: st.DataObject) -> None:
    good = slip.write(ENTRY, attested(), DEVICE)
    begin = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(begin, len(good)))
    put = data.draw(st.binary(max_size=12))
    changed = good[:begin] + put + good[end:]
    assert (verdict(slip.text(changed)) is None) == (changed == good)


def test_published_keys_come_back_and_hold_nothing_secret() -> None:
    content = slip.published([AGENT])
    assert '"d"' not in content
    assert [cose.raw(key) for key in slip.read_published(content)] == [cose.raw(AGENT)]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"keys": []}', '{"keys": [{}]}', '{"keys": 1}', "[" * 100_000, '{"keys":["a"]}']
)
def test_fail__a_file_of_keys_that_is_none(content: str) -> None:
    with pytest.raises(slip.BadKeys):
        slip.read_published(content)


def test_fail__a_published_key_of_another_kind() -> None:
    with pytest.raises(slip.BadKeys):
        slip.read_published(slip.published([OKPKey.generate_key("X25519")]))


def test_a_code_without_address_is_no_larger_than_version_13() -> None:
    """Measured: 449 characters for names of usual length, version 13 (69 modules a side) with error correction M."""
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M)
    code.add_data(written(), optimize=20)
    code.make(fit=True)
    assert code.version <= 13


def test_it_says_nothing_about_a_person() -> None:
    fields = set(Entry.__dataclass_fields__) | set(slip.Slip.__dataclass_fields__)
    assert fields == {"record", "at", "kind", "outcome", "standing", "entry", "device", "site"}
