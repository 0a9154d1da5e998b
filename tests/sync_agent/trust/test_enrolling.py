"""Enrolment over the network: real TLS, a real kiosk's side; what is not in order is refused and sounds an alarm."""

from __future__ import annotations

import secrets
from datetime import timedelta
from pathlib import Path

import pytest

from kiosk.uplink import identity
from kiosk.uplink.door import Door, DoorRefused, NotTheDoor, meet
from kiosk.uplink.wallet import Wallet
from sync_agent.contract.enrolment import DoorFault, Enrolment, Presented, Standing, comparison
from sync_agent.contract.invitation import BadCode, Code
from sync_agent.contract.topics import DeviceId
from sync_agent.fleet import enrolment, invitations
from sync_agent.fleet.authority import establish
from sync_agent.fleet.enrolment import CannotEnrol
from sync_agent.registry.tables import DeviceCertificate, DeviceKey, Invitation
from tests.sync_agent.trust.conftest import DEVICE, SERIAL, SITE, Centre


def presented(code: Code, serial: str = SERIAL) -> Presented:
    return Presented(invitation=code.invitation, secret=code.secret, serial=serial)


def asking(folder: Path, code: Code, device: str = DEVICE, site: str = SITE, serial: str = SERIAL) -> Enrolment:
    request = identity.begin(folder, DeviceId(device), site, serial)
    return Enrolment(presented=presented(code, serial), request=request)


def door(centre: Centre, code: Code) -> Door:
    return Door(centre.address, meet(centre.address, code))


def refusal(centre: Centre, code: Code, asked: Enrolment) -> DoorFault:
    with pytest.raises(DoorRefused) as refused:
        door(centre, code).enrol(asked)
    return refused.value.code


def test_a_kiosk_asks_with_its_code_and_is_let_in_when_the_number_fits(centre: Centre) -> None:
    numbers: list[str] = []

    def said(number: str) -> None:
        (waiting,) = invitations.waiting(centre.database, centre.clock.now())
        assert waiting.number == number, "device and operator see the same"
        numbers.append(number)
        centre.approve(number)

    answer = centre.come(centre.state_dir / "kiosk", centre.invite(), said)
    assert (answer.device, answer.site, answer.broker_host) == (DEVICE, SITE, "broker.example")
    wallet = Wallet(centre.state_dir / "kiosk")
    assert wallet.current.door == centre.address
    assert len(numbers) == 1
    assert centre.alarms() == []


def test_before_the_approval_there_is_no_certificate_and_no_key(centre: Centre) -> None:
    code = centre.invite()
    decision = door(centre, code).enrol(asking(centre.state_dir / "kiosk", code))
    assert (decision.standing, decision.answer) == (Standing.WAITING, None)
    with centre.database.read() as session:
        assert session.query(DeviceCertificate).count() == session.query(DeviceKey).count() == 0
    centre.approve(decision.number)
    with centre.database.read() as session:
        assert session.query(DeviceCertificate).count() == session.query(DeviceKey).count() == 1


def test_asked_again_after_a_lost_connection_everything_is_answered_as_before(centre: Centre) -> None:
    code = centre.invite()
    asked = [asking(centre.state_dir / "kiosk", code) for _ in range(2)]
    assert asked[0].request.csr != asked[1].request.csr, "each request is signed anew"
    first, second = (door(centre, code).enrol(each) for each in asked)
    assert first == second
    centre.approve(first.number)
    answers = [door(centre, code).enrol(each).answer for each in asked]
    assert answers[0] is not None
    assert answers[1] is not None
    assert answers[0].certificate == answers[1].certificate
    assert centre.alarms() == []


def test_an_answer_that_was_lost_can_be_had_after_the_code_has_ended(centre: Centre) -> None:
    code = centre.invite()
    asked = asking(centre.state_dir / "kiosk", code)
    centre.approve(door(centre, code).enrol(asked).number)
    centre.clock.pass_by(timedelta(days=8))
    assert door(centre, code).enrol(asked).standing is Standing.APPROVED


def test_the_number_of_somebody_else_is_not_approved(centre: Centre) -> None:
    code = centre.invite()
    number = door(centre, code).enrol(asking(centre.state_dir / "kiosk", code)).number
    with pytest.raises(CannotEnrol, match="number is not that"):
        centre.approve("0000 0000 0000")
    centre.approve(number.replace(" ", "-"))


def test_a_code_is_refused_on_another_board(centre: Centre) -> None:
    code = centre.invite()
    with pytest.raises(DoorRefused) as refused:
        door(centre, code).look_up(presented(code, "another"))
    assert refused.value.code is DoorFault.OTHER_BOARD
    assert centre.alarms() == [("enrolment", DEVICE, "other-board")]
    assert door(centre, code).look_up(presented(code)).device == DEVICE


@pytest.mark.parametrize(("device", "site"), [("kiosk-2", SITE), (DEVICE, "site-8")])
def test_a_code_is_refused_for_another_device_or_site(centre: Centre, device: str, site: str) -> None:
    code = centre.invite()
    assert refusal(centre, code, asking(centre.state_dir / "kiosk", code, device, site)) is DoorFault.OTHER_BOARD
    assert centre.alarms() == [("enrolment", DEVICE, "other-place")]


def test_other_keys_with_a_used_code_are_refused_and_the_first_ones_go_on(centre: Centre) -> None:
    code = centre.invite()
    mine = asking(centre.state_dir / "kiosk", code)
    number = door(centre, code).enrol(mine).number
    thief = asking(centre.state_dir / "thief", code)
    assert comparison(thief.request.record_key, thief.request.csr) != number
    assert refusal(centre, code, thief) is DoorFault.CODE_USED
    assert centre.alarms() == [("enrolment", DEVICE, "other-keys")]
    assert door(centre, code).enrol(mine).number == number


def test_a_wrong_secret_is_refused_and_sounds_an_alarm(centre: Centre) -> None:
    code = centre.invite()
    guess = Code(code.invitation, secrets.token_hex(10), code.ca)
    assert refusal(centre, guess, asking(centre.state_dir / "kiosk", guess)) is DoorFault.UNKNOWN_CODE
    stranger = Code("ffffff" if code.invitation != "ffffff" else "000000", code.secret, code.ca)
    assert refusal(centre, stranger, asking(centre.state_dir / "kiosk", stranger)) is DoorFault.UNKNOWN_CODE
    assert set(centre.alarms()) == {("enrolment", DEVICE, "wrong-code"), ("enrolment", "", "wrong-code")}


def test_a_code_ends_after_its_days(centre: Centre) -> None:
    code = centre.invite()
    centre.clock.pass_by(timedelta(days=6, hours=23))
    assert door(centre, code).look_up(presented(code)).site == SITE
    centre.clock.pass_by(timedelta(hours=1))
    assert refusal(centre, code, asking(centre.state_dir / "kiosk", code)) is DoorFault.UNKNOWN_CODE


def test_a_newer_code_ends_the_older_one(centre: Centre) -> None:
    older, newer = centre.invite(), centre.invite()
    assert refusal(centre, older, asking(centre.state_dir / "kiosk", older)) is DoorFault.UNKNOWN_CODE
    assert door(centre, newer).look_up(presented(newer)).device == DEVICE


def test_a_rejected_request_stays_rejected(centre: Centre) -> None:
    code = centre.invite()
    asked = asking(centre.state_dir / "kiosk", code)
    door(centre, code).enrol(asked)
    invitations.reject(centre.database, DEVICE, centre.clock.now())
    assert refusal(centre, code, asked) is DoorFault.REJECTED
    with pytest.raises(CannotEnrol, match="no request"):
        centre.approve("0000 0000 0000")


def test_the_answer_is_withheld_once_the_device_was_revoked(centre: Centre) -> None:
    code = centre.invite()
    asked = asking(centre.state_dir / "kiosk", code)
    centre.approve(door(centre, code).enrol(asked).number)
    assert door(centre, code).enrol(asked).answer is not None
    enrolment.revoke(centre.database, centre.authority, DEVICE, centre.settings.fleet, centre.clock.now())
    assert refusal(centre, code, asked) is DoorFault.NOT_KNOWN


def test_no_code_is_made_for_a_device_that_is_in_or_for_the_agent_itself(centre: Centre) -> None:
    centre.enrol()
    with pytest.raises(CannotEnrol, match="revoke it first"):
        centre.invite()
    with pytest.raises(CannotEnrol, match="sync agent"):
        centre.invite("sync-agent-07")
    enrolment.revoke(centre.database, centre.authority, DEVICE, centre.settings.fleet, centre.clock.now())
    centre.invite()


def test_the_secret_of_a_code_is_not_kept(centre: Centre) -> None:
    code = centre.invite()
    with centre.database.read() as session:
        row = session.get_one(Invitation, code.invitation)
        kept = " ".join(str(getattr(row, column.key)) for column in Invitation.__table__.columns)
    assert code.invitation in kept
    assert code.secret not in kept
    assert code.secret not in repr(code)


def test_a_door_of_another_authority_is_noticed_before_anything_is_sent(centre: Centre) -> None:
    elsewhere = Code.fresh("ab" * 32)
    with pytest.raises(NotTheDoor, match="not the door"):
        meet(centre.address, elsewhere)
    meet(centre.address, centre.invite())


def test_a_door_whose_certificate_does_not_hold_is_not_spoken_to(centre: Centre) -> None:
    code = centre.invite()
    ca = meet(centre.address, code)
    other = establish(centre.state_dir / "other", [], centre.clock.now())
    assert Door(centre.address, ca).look_up(presented(code)).device == DEVICE
    with pytest.raises(NotTheDoor, match="does not hold"):
        Door(centre.address, other.certificate).look_up(presented(code))


def test_a_code_survives_being_read_aloud_and_a_typing_error_is_noticed() -> None:
    code = Code.fresh("0123456789abcdef" * 4)
    assert Code.parse(code.text().lower().replace("-", " ").replace("0", "o").replace("1", "l")) == code
    wrong = [*code.text()]
    wrong[5] = "7" if wrong[5] != "7" else "8"
    with pytest.raises(BadCode, match="mistyped"):
        Code.parse("".join(wrong))
    with pytest.raises(BadCode, match="letters and digits"):
        Code.parse(code.text()[:-1])


@pytest.mark.parametrize(
    ("serial", "site"), [("", SITE), ("x" * 65, SITE), (SERIAL, " "), (SERIAL, "x" * 65), (SERIAL + " ", SITE)]
)
def test_no_code_is_made_that_no_kiosk_could_use(centre: Centre, serial: str, site: str) -> None:
    with pytest.raises(CannotEnrol, match="1 to 64 characters"):
        centre.invite(serial=serial, site=site)
    assert centre.invite(serial="x" * 64, site="y" * 64).text()
