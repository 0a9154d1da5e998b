"""The kiosk's side of the enrolment door: HTTPS requests, each with a deadline, from a thread.

The first contact knows only the fingerprint in the one-time code: the authority's certificate is read from a connection that is
not trusted, compared, and from then on every connection is verified by it.
"""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import BaseModel, ValidationError

from sync_agent.contract.enrolment import (
    Decision,
    DoorFault,
    Enrolment,
    Invited,
    Presented,
    Refusal,
    Renewed,
    fingerprint,
)
from sync_agent.contract.invitation import Code

DEADLINE_S: Final = 20.0
MAX_ANSWER: Final = 256 * 1024

_Model = TypeVar("_Model", bound=BaseModel)


class DoorAway(Exception):
    """The door does not answer, or not as a door does; passing. Code DOOR-10: check address, network and clock, or wait."""

    code = "DOOR-10"


class NotTheDoor(Exception):
    """Somebody else answers at that address. Code DOOR-11: check the address; a code holds at the door of its own centre only."""

    code = "DOOR-11"


class DoorRefused(Exception):
    """The door refuses.

    Attributes:
        refusal: why, and the centre's time.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal

    @property
    def code(self) -> DoorFault:
        """Stable code of the reason."""
        return self.refusal.code


class Door:
    """A door whose certificate is verified. Blocks; use it from a thread."""

    def __init__(self, address: str, ca: str | Path) -> None:
        """Prepare; nothing is sent.

        Args:
            address: https://HOST:PORT.
            ca: authorities to trust, PEM text or a file of it.
        """
        self._address = address
        self._context = (
            ssl.create_default_context(cafile=str(ca)) if isinstance(ca, Path) else ssl.create_default_context(cadata=ca)
        )
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2

    def look_up(self, presented: Presented) -> Invited:
        """Ask what a code was made for.

        Raises:
            DoorAway, NotTheDoor, DoorRefused: as they say.
        """
        return self._ask("/invitation", presented.model_dump_json().encode(), Invited)

    def enrol(self, asked: Enrolment) -> Decision:
        """Ask to be let in, or what has become of it; raises as `look_up`."""
        return self._ask("/enrol", asked.model_dump_json().encode(), Decision)

    def renew(self, message: bytes) -> Renewed:
        """Ask for the next certificate with a signed request; raises as `look_up`."""
        return self._ask("/renew", message, Renewed)

    def _ask(self, path: str, body: bytes, model: type[_Model]) -> _Model:
        status, said = request(self._address, "POST", path, body, self._context)
        try:
            if status == http.client.OK:
                return model.model_validate_json(said)
            raise DoorRefused(Refusal.model_validate_json(said))
        except ValidationError as err:
            raise DoorAway(f"{self._address!r} answered with status {status} and nothing that can be read") from err


def meet(address: str, code: Code) -> str:
    """Return the certificate of the authority that a code speaks of, PEM, as the door shows it.

    Raises:
        DoorAway: no answer.
        NotTheDoor: the door belongs to another authority.
    """
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE  # what it shows is compared with the code below, and nothing is sent before
    status, said = request(address, "GET", "/ca", b"", unverified)
    try:
        shown = x509.load_pem_x509_certificates(said) if status == http.client.OK else []
    except ValueError as err:
        raise NotTheDoor(f"{address!r} does not show a certificate authority") from err
    for certificate in shown:
        if code.is_of(fingerprint(certificate)):
            return certificate.public_bytes(Encoding.PEM).decode()
    raise NotTheDoor(f"{address!r} is not the door that the code was made at, or its authority has changed; ask for a new code")


def request(address: str, method: str, path: str, body: bytes, context: ssl.SSLContext) -> tuple[int, bytes]:
    """Make one request and return status and body.

    Raises:
        DoorAway: no answer.
        NotTheDoor: the certificate does not hold.
    """
    place = urlsplit(address)
    if place.scheme != "https" or not place.hostname:
        raise NotTheDoor(f"{address!r} is not an address https://HOST:PORT")
    connection = http.client.HTTPSConnection(place.hostname, place.port, timeout=DEADLINE_S, context=context)
    try:
        connection.request(method, path, body or None, {"Content-Type": "application/octet-stream"})
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_ANSWER)
    except ssl.SSLCertVerificationError as err:
        raise NotTheDoor(f"the certificate of {address!r} does not hold: {err.verify_message}") from err
    except (OSError, http.client.HTTPException) as err:
        raise DoorAway(f"{address!r} does not answer: {err}") from err
    finally:
        connection.close()
