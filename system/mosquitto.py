"""How our Mosquitto is configured: one place for the demo, the tests and a real centre.

Settings and reasons: reference page on MQTT, sections 7.1 and 9. Works with Mosquitto 2.0.11 (Debian 12) to 2.0.21 (Debian 13).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sync_agent.contract.topics import SHARDS
from sync_agent.fleet.authority import session_name

MAX_PACKET_BYTES: Final = 262_144
"""Largest MQTT packet that the broker takes; it cuts the connection of whoever sends more."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the broker listens and what proves who is who.

    Attributes:
        address: address to bind, for instance ``127.0.0.1``.
        ca: PEM of every authority whose clients are let in; two during a change.
        certificate, key: PEM of the broker's own certificate and key.
        revoked: PEM revocation list of each authority in `ca`. Past its next-update every client is refused.
    """

    address: str
    port: int
    ca: Path
    certificate: Path
    key: Path
    revoked: Path


def configuration(listener: Listener, *, folder: Path, rules: Path, user: str) -> str:
    """Return the text of ``mosquitto.conf``.

    Args:
        listener: the one listener.
        folder: existing folder, writable for `user`, in which sessions are kept over a clean restart.
        rules: file with the text of `access_rules`, readable for `user` and for nobody else.
        user: system user that a broker started by root becomes.
    """
    return f"""\
# Written by system/mosquitto.py.
user {user}
log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages true

# A lossy pipe: what is kept here spares work after a restart, and is not a promise (receipts are).
persistence true
persistence_location {folder}/
autosave_interval 60
persistent_client_expiration 14d

# The default of 1000 drops silently; without nodelay windowed publishers stall on delayed acknowledgements.
max_queued_messages 0
max_queued_bytes 536870912
max_inflight_messages 1000
set_tcp_nodelay true
max_packet_size {MAX_PACKET_BYTES}
max_keepalive 300
sys_interval 10

# Who connects is who the certificate says, and speaks on topics of that name only.
allow_anonymous false
acl_file {rules}
listener {listener.port} {listener.address}
tls_version tlsv1.2
cafile {listener.ca}
certfile {listener.certificate}
keyfile {listener.key}
crlfile {listener.revoked}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
"""


def access_rules() -> str:
    """Return the text of the ACL file: a device speaks and hears as itself only, a session of the sync agent hears one shard."""
    sessions = "".join(
        f"user {session_name(shard)}\ntopic read rz/1/+/up/{shard:02d}/#\ntopic write rz/1/+/dn/#\n\n" for shard in range(SHARDS)
    )
    return f"""\
# Written by system/mosquitto.py.
{sessions}
pattern write rz/1/+/up/+/%u/#
pattern read rz/1/+/dn/%u/#
"""
