"""Enrolment over the network: keys are made here, the code opens the door, and then an operator decides.

Whatever is lost in between, the command is given again and goes on where it was: keys and request are the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from kiosk.uplink import identity
from kiosk.uplink.door import Door, DoorAway, meet
from sync_agent.contract.enrolment import Answer, Enrolment, Presented, Standing
from sync_agent.contract.invitation import Code
from sync_agent.contract.topics import DeviceId

log = structlog.get_logger(__name__)

POLL_S: Final = 5.0
_SERIALS: Final = (Path("/proc/device-tree/serial-number"), Path("/sys/class/dmi/id/product_serial"))


def board_serial() -> str:
    """Return the serial number of this board; "" where it has none that can be read."""
    for path in _SERIALS:
        try:
            return path.read_text().strip("\0\n ")[:64]
        except OSError:
            continue
    return ""


def enrol(
    folder: Path,
    address: str,
    code: Code,
    serial: str,
    *,
    say: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> Answer:
    """Become known to the centre; returns when the operator has approved, and everything is kept.

    Args:
        folder: where the identity is kept.
        address: of the door, https://HOST:PORT.
        code: the one-time code.
        serial: serial number of this board.
        say: told, once, the number that the operator compares.
        pause: waits between two looks at the decision, seconds.

    Raises:
        NotTheDoor: somebody else answers there.
        DoorRefused: the code does not fit, or the operator rejected the request.
        DoorAway: no answer before the request was made; after that it is tried on and on.
    """
    door = Door(address, meet(address, code))
    presented = Presented(invitation=code.invitation, secret=code.secret, serial=serial)
    invited = door.look_up(presented)
    request = identity.begin(folder, DeviceId(invited.device), invited.site, serial)
    asked, is_said = Enrolment(presented=presented, request=request), False
    while True:
        try:
            decision = door.enrol(asked)
        except DoorAway as err:
            log.warning("enrol.door-away", reason=str(err))
            pause(POLL_S)
            continue
        if not is_said:
            say(decision.number)
            is_said = True
        if decision.standing is Standing.APPROVED and decision.answer is not None:
            # The door that answered is where to renew, too, whatever the centre calls itself.
            answer = decision.answer.model_copy(update={"door": decision.answer.door or address})
            identity.finish(folder, answer)
            log.info("enrol.done", device=answer.device, site=answer.site)
            return answer
        pause(POLL_S)
