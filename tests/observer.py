"""Who hears every device and speaks for the centre in tests: known to their brokers only, by a rule that is not the product's.

No certificate of the product hears more than one shard (tests/sync_agent/trust/test_who_hears.py), so tests make this one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sync_agent.contract.topics import DeviceId
from sync_agent.fleet.keyring import Keyring, Place
from system.services.broker import Mosquitto
from tests.certificates import Issued

OBSERVER: Final = DeviceId("test-observer")
"""Its common name and client id; as a device's name it has topics of its own, which it may both write and read."""

_RULE: Final = f"""
user {OBSERVER}
topic read rz/1/#
topic write rz/1/+/dn/#
"""


class Observed(Mosquitto):
    """A broker as the product configures it, that also lets the observer hear everything and speak for the centre."""

    def files(self, sessions: Path) -> dict[str, str]:
        """Add the observer's rule to those of the product."""
        files = super().files(sessions)
        return files | {"access.conf": files["access.conf"] + _RULE}


def certify(keys_dir: Path, folder: Path) -> Issued:
    """Make the observer's certificate with the key of a centre's CA, good for a day.

    Args:
        keys_dir: of that centre.
        folder: where certificate and key go.
    """
    key = generate_private_key(SECP256R1())
    issuer = Keyring(keys_dir).read().ca[Place.IN_FORCE]
    own = Issued(folder / f"{OBSERVER}.crt", folder / f"{OBSERVER}.key")
    own.certificate.write_text(issuer.sign(key.public_key(), OBSERVER, 1, datetime.now(UTC)).pem)
    own.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return own
