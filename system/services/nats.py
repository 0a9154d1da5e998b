"""Three NATS servers of our own as one broker: MQTT with one certificate a client, every message on all three, on loopback."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from signal import SIGHUP
from typing import Final

from sync_agent.contract.topics import DeviceId
from system import nats
from system.services.process import HOST, Process, Service, free_port

PROGRAM: Final = Path("/usr/sbin/nats-server")
NODES: Final = 3
_READY_S: Final = 30.0


class NatsNode(Service):
    """One server of the cluster.

    Attributes:
        host, port: where it speaks MQTT, the same after every restart.
    """

    def __init__(self, node: nats.Node) -> None:
        self.host, self.port = node.address, node.port
        self._monitor = f"http://{HOST}:{node.monitor_port}"
        self._process = Process(node.name, [PROGRAM, "-c", node.folder / "nats.conf"], node.folder / "nats.log")

    @property
    def log_file(self) -> Path:
        """What the server said."""
        return self._process.log_file

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process.is_running

    def start(self, is_ready: Callable[[], bool] | None = None) -> None:
        """Start, and return when it answers; it joins the others by itself.

        Args:
            is_ready: something further that must be true.

        Raises:
            ServiceFailed: it did not start, for instance because a certificate cannot be read.
        """
        self._process.start(is_ready or (lambda: self._ask("/varz") is not None), within_s=_READY_S)

    def stop(self) -> None:
        """Stop cleanly; what it keeps stays."""
        self._process.stop()

    def kill(self) -> None:
        """Stop as a crash or a power cut would."""
        self._process.kill()

    def reload(self) -> None:
        """Make it read the users again; who is no longer among them is cut off."""
        self._process.signal(SIGHUP)

    def is_healthy(self) -> bool:
        """Whether it knows the two others and is up to date with what the cluster keeps."""
        routes = self._ask("/routez") or {}
        others = {route["remote_id"] for route in routes.get("routes", [])}
        return len(others) == NODES - 1 and self._ask("/healthz") is not None

    def holds_session(self, client_id: str) -> bool:
        """Whether a client is connected to this one."""
        connections = (self._ask("/connz") or {}).get("connections", [])
        return any(connection.get("mqtt_client") == client_id for connection in connections)

    def _ask(self, page: str) -> dict[str, list[dict[str, str]]] | None:
        """Return a page of the monitor; None when it does not answer, or not with 200."""
        try:
            with urllib.request.urlopen(self._monitor + page, timeout=2.0) as answer:
                told: dict[str, list[dict[str, str]]] = json.load(answer)
                return told
        except OSError:
            return None


class NatsCluster(Service):
    """The clustered broker of tests, on loopback.

    Attributes:
        nodes: the three servers; each takes any client.
    """

    def __init__(self, folder: Path, *, ca: Path, certificate: Path, key: Path, devices: Iterable[DeviceId]) -> None:
        """Describe the cluster; nothing is written or runs yet.

        Args:
            folder: everything it writes goes here, each node in a folder of its own.
            ca: PEM of the authority whose clients are let in.
            certificate: PEM of the nodes' own certificate.
            key: PEM of its private key.
            devices: who is let in beside the sync agent.
        """
        self._folder = folder.absolute()
        self._devices = tuple(devices)
        self._proofs = nats.Proofs(ca.absolute(), certificate.absolute(), key.absolute(), secrets.token_urlsafe(16))
        ports = iter(_free_ports(4 * NODES))
        self._plans = [
            nats.Node(
                name=f"node-{number}",
                address=HOST,
                port=next(ports),
                client_port=next(ports),
                route_port=next(ports),
                monitor_port=next(ports),
                folder=self._folder / f"node-{number}",
            )
            for number in range(NODES)
        ]
        self.nodes = [NatsNode(plan) for plan in self._plans]

    def start(self) -> None:
        """Start all, and return when every one knows the others.

        Raises:
            ServiceFailed: one did not start, or they did not find each other.
        """
        for plan in self._plans:
            plan.folder.mkdir(parents=True, exist_ok=True)
            written = plan.folder / "nats.conf"
            written.write_text(nats.configuration(plan, self._plans, self._proofs))
            written.chmod(0o600)  # it holds the secret of the routes
        self._write_users()
        for node in self.nodes[:-1]:
            node.start()
        self.nodes[-1].start(self.is_healthy)

    def stop(self) -> None:
        """Stop all."""
        for node in self.nodes:
            node.stop()

    def admit(self, devices: Iterable[DeviceId]) -> None:
        """Let in these devices from now on, and no others."""
        self._devices = tuple(devices)
        self._write_users()
        for node in self.nodes:
            if node.is_running:
                node.reload()

    def is_healthy(self) -> bool:
        """Whether every node knows the two others and is up to date."""
        return all(node.is_healthy() for node in self.nodes)

    def node_of(self, client_id: str) -> NatsNode | None:
        """Return the node that a client is connected to; None when there is none."""
        return next((node for node in self.nodes if node.is_running and node.holds_session(client_id)), None)

    def _write_users(self) -> None:
        for plan in self._plans:
            (plan.folder / "users.conf").write_text(nats.users(self._devices))


def _free_ports(count: int) -> list[int]:
    """Return different free ports."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return sorted(ports)
