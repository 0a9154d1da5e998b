"""The peer of the ingest benchmarks: a Node-RED flow that does the same work, one INSERT a message. `flow.json` is the flow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from system.services.process import Process, free_port
from system.simulate.fleet_roll import Member
from tests.certificates import Issued

_HERE: Final = Path(__file__).parent
_PROGRAM: Final = Path(__file__).parents[3] / ".cache" / "node-red"
_OURS: Final = ("package.json", "package-lock.json", "settings.js", "flow.json")

TABLE: Final = """\
DROP TABLE IF EXISTS peer_record;
CREATE TABLE peer_record (
    id varchar(36) PRIMARY KEY, device_id varchar(63) NOT NULL, epoch varchar(16) NOT NULL, seq integer NOT NULL,
    digest varchar(64) NOT NULL, prev varchar(64) NOT NULL, boot integer NOT NULL, kind varchar(32) NOT NULL,
    time timestamptz NOT NULL, clock_age_s integer, received_at timestamptz NOT NULL, kid varchar(64) NOT NULL,
    message bytea NOT NULL, site_id varchar(64), UNIQUE (device_id, epoch, seq));
CREATE INDEX ON peer_record (received_at)"""
"""What the flow writes into: the ledger's columns that a record fills by itself, its keys, and no foreign keys."""


class CannotPeer(Exception):
    """Node-RED cannot be had on this machine; the text says why."""


def install() -> None:
    """Install Node-RED as pinned, below the checkout's cache, unless it is there.

    Raises:
        CannotPeer: no Node.js, or no network.
    """
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise CannotPeer("needs node and npm (Debian's nodejs and npm, 18.5 or later)")
    stamp = sha256(b"".join((_HERE / name).read_bytes() for name in _OURS[:2])).hexdigest()
    stamped = _PROGRAM / "stamp"
    if not stamped.exists() or stamped.read_text() != stamp:
        _PROGRAM.mkdir(parents=True, exist_ok=True)
        for name in _OURS[:2]:
            shutil.copy(_HERE / name, _PROGRAM / name)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=_PROGRAM, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CannotPeer(f"npm could not install it: {done.stderr.strip().splitlines()[-1:]}")
        stamped.write_text(stamp)
    for name in _OURS[2:]:
        shutil.copy(_HERE / name, _PROGRAM / name)


def flow(folder: Path, ca: Path, own: Issued, broker_port: int, database_url: str, members: Sequence[Member]) -> Process:
    """Return the flow as a process, not started; one connection hears every device.

    Args:
        folder: where its keys and its log go.
        ca: of the broker.
        own: certificate of who may hear every device there.
        broker_port: on loopback.
        database_url: of PostgreSQL, for SQLAlchemy.
        members: whose records it takes.
    """
    keys = [{"kid": m.signing_key.thumbprint(), "device": m.device, "jwk": m.signing_key.as_dict(private=False)} for m in members]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "keys.json").write_text(json.dumps(keys))
    given = {
        "PEER_KEYS": folder / "keys.json",
        "PEER_PORT": free_port(),
        "PEER_DATABASE": database_url.replace("+psycopg", ""),
        "PEER_BROKER_PORT": broker_port,
        "PEER_CA": ca,
        "PEER_CERTIFICATE": own.certificate,
        "PEER_KEY": own.key,
    }
    script = _PROGRAM / "node_modules" / "node-red" / "red.js"
    command: list[str | Path] = ["node", script, "--userDir", _PROGRAM, "--settings", _PROGRAM / "settings.js"]
    return Process("Node-RED", command, folder / "node-red.log", env=os.environ | {k: str(v) for k, v in given.items()})
