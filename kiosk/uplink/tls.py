"""The TLS side of the connection: files read anew each time, and why it failed in words that staff can act on."""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from cryptography import x509

from kiosk.uplink.identity import Identity


class Trouble(StrEnum):
    """Why there is no connection. Stable codes for staff; the words are in the message files under ``banner``."""

    NONE = ""
    UNREACHABLE = "LINK-01"
    BROKER_NOT_TRUSTED = "LINK-02"
    """Its certificate is of another CA, or names another host."""
    REFUSED = "LINK-03"
    """It takes no connection of ours and does not say why."""
    LOST = "LINK-04"
    BROKER_EXPIRED = "LINK-05"
    """The broker's certificate has ended by our clock: it has, or our clock is ahead."""
    CLOCK_BEHIND = "LINK-06"
    """The broker's certificate has not begun by our clock."""
    EXPIRED = "LINK-07"
    """Our own certificate has ended."""
    REVOKED = "LINK-08"
    """The centre has withdrawn our certificate."""
    UNUSABLE = "LINK-09"
    """The files of our own certificate cannot be read or do not belong together."""
    UNANSWERED = "LINK-10"
    """There is a connection, but records are sent again and again and no receipt comes."""


_NOT_BEGUN: Final = 9
_ENDED: Final = 10
"""OpenSSL's numbers, X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED (x509_vfy.h)."""


class Unusable(Exception):
    """Our own certificate, its key or the CA's certificate cannot be used. The text says which way, never what is in them."""


class TellingSocket(ssl.SSLSocket):
    """A TLS socket that remembers what the other side said when it hung up.

    TLS 1.3 tells a refused client certificate only after the handshake, when paho reads and keeps the reason to itself.
    """

    refusal: str = ""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands as `ssl.SSLSocket` does, and close when it fails: paho then forgets the socket."""
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Read as `ssl.SSLSocket` does, and keep the name of an alert."""
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as err:
            self.refusal = err.reason or ""
            raise

    def send(self, data: Any, flags: int = 0) -> int:
        """Write as `ssl.SSLSocket` does; where the other side has hung up, read first what it said."""
        try:
            return super().send(data, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            raise
        except OSError:
            with suppress(OSError):
                self.recv(1)
            raise


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one connection is made with.

    Attributes:
        valid_until: end of our own certificate.
    """

    context: ssl.SSLContext
    valid_until: datetime


def read(identity: Identity) -> Credentials:
    """Read certificate, key and CA from their files, which a renewal may have changed since the last time.

    Raises:
        Unusable: a file is missing, is no PEM, or the key is of another certificate.
    """
    try:
        own = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = TellingSocket
        context.load_verify_locations(identity.ca)
        context.load_cert_chain(identity.certificate, identity.tls_key)
    except ssl.SSLError as err:
        raise Unusable(err.reason or "not PEM") from err
    except OSError as err:
        raise Unusable(err.strerror or "unreadable") from err
    except ValueError as err:
        raise Unusable("not PEM") from err
    return Credentials(context, own.not_valid_after_utc)


def of_handshake(error: ssl.SSLError) -> Trouble:
    """Say what a failed handshake means; `error` is ours about the broker, or the broker's alert about us (TLS 1.2)."""
    if isinstance(error, ssl.SSLCertVerificationError):
        by_number = {_NOT_BEGUN: Trouble.CLOCK_BEHIND, _ENDED: Trouble.BROKER_EXPIRED}
        return by_number.get(error.verify_code, Trouble.BROKER_NOT_TRUSTED)
    return Trouble.REFUSED


def of_refusal(alert: str, valid_until: datetime, now: datetime) -> Trouble:
    """Say what it means that the broker hung up before it accepted us.

    Args:
        alert: OpenSSL's name of the alert, "" when there was none.
        valid_until: end of our own certificate.
        now: by our clock. The alert for an ended certificate also stands for an ended revocation list, which is not our fault.
    """
    if "CERTIFICATE_REVOKED" in alert:
        return Trouble.REVOKED
    return Trouble.EXPIRED if now > valid_until else Trouble.REFUSED
