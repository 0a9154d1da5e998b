"""How a NATS cluster is configured as our broker: one place for the tests and a real centre.

Written for nats-server 2.9.10 (Debian 12), which has no word for "whoever this certificate names": every device is a user of its
own in a file that is written anew, and read again by every node, when a device comes or goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sync_agent.contract.topics import SHARDS, DeviceId
from sync_agent.fleet.authority import session_name
from system.mosquitto import MAX_PACKET_BYTES

REPLICAS: Final = 3
"""Copies of every message, session and position. Left to itself 2.9 decides at the first connection, perhaps for 2: then the
death of one node stops everything (measured, reference section 7.2)."""

_OWN: Final = "$MQTT.sub.>"
"""Where the gateway hands a client what waited for it; each client's is a random name, and no MQTT filter reaches it."""


@dataclass(frozen=True, slots=True)
class Node:
    """One of the servers.

    Attributes:
        name: unique in the cluster.
        address: what it listens on.
        port: for MQTT, TLS with client certificates.
        client_port: for NATS's own protocol, the same certificates; on loopback whatever `address` is.
        route_port: for the other nodes.
        monitor_port: HTTP, on loopback: ``/healthz``.
        folder: what it keeps; the file of users lies here too, as ``users.conf``.
    """

    name: str
    address: str
    port: int
    client_port: int
    route_port: int
    monitor_port: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Proofs:
    """What proves who is who.

    Attributes:
        ca: PEM of every authority whose clients are let in.
        certificate, key: PEM of the nodes' own certificate and key.
        secret: what the nodes prove themselves to each other with.
    """

    ca: Path
    certificate: Path
    key: Path
    secret: str


def configuration(node: Node, nodes: Sequence[Node], proofs: Proofs) -> str:
    """Return the text of one node's ``nats.conf``.

    Args:
        node: whose.
        nodes: all of the cluster, `node` among them.
        proofs: the same for all.
    """
    routes = ", ".join(f'"nats://node:{proofs.secret}@{each.address}:{each.route_port}"' for each in nodes)
    tls = (
        f'cert_file: "{proofs.certificate}", key_file: "{proofs.key}", ca_file: "{proofs.ca}", verify_and_map: true, timeout: 10'
    )
    return f"""\
# Written by system/nats.py.
server_name: "{node.name}"
listen: "127.0.0.1:{node.client_port}"
http: "127.0.0.1:{node.monitor_port}"
max_payload: {MAX_PACKET_BYTES}
tls {{ {tls} }}

jetstream {{ store_dir: "{node.folder / "store"}", max_memory_store: 64MB, max_file_store: 4GB }}

mqtt {{
  listen: "{node.address}:{node.port}"
  tls {{ {tls} }}
  # Before the first client connects: streams that are there keep the replicas they were made with.
  stream_replicas: {REPLICAS}
  consumer_replicas: {REPLICAS}
  # Above the largest batch that is acknowledged at once. A filter that ends in # counts twice, a session's sum ends at 65535.
  max_ack_pending: 1000
  # Unlike others, NATS gives what was not acknowledged again after this time, and not at once to whoever takes the session over.
  ack_wait: "10s"
}}

# Clear text: on a private network only, or with certificates that serve both ends of a route.
cluster {{
  name: "renzheng"
  listen: "{node.address}:{node.route_port}"
  authorization {{ user: "node", password: "{proofs.secret}", timeout: 10 }}
  routes: [{routes}]
}}

include "users.conf"
"""


def users(devices: Iterable[DeviceId]) -> str:
    """Return the text of ``users.conf``: who may speak and hear what, by the common name of the certificate.

    A device that is not in it is not let in, so that here a revoked device is simply left out.
    """
    sessions = [_user(session_name(shard), "rz.1.*.dn.>", f"rz.1.*.up.{shard:02d}.>") for shard in range(SHARDS)]
    kiosks = [_user(device, f"rz.1.*.up.*.{device}.>", f"rz.1.*.dn.{device}.>") for device in devices]
    lines = "\n".join(f"  {line}" for line in sessions + kiosks)
    return f"# Written by system/nats.py.\nauthorization {{ users: [\n{lines}\n] }}\n"


def _user(name: str, says: str, hears: str) -> str:
    return f'{{ user: "CN={name}", permissions: {{ publish: ["{says}"], subscribe: ["{hears}", "{_OWN}"] }} }}'
