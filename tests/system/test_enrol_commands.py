"""The commands of both sides, as an operator and an installer type them, with the centre's own process behind the door."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kiosk.uplink import identity
from system.services.process import Process, free_port, is_listening

pytestmark = [pytest.mark.broker, pytest.mark.slow]


class Commands:
    """A centre's and a kiosk's settings, and their commands."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.agent, self.kiosk = folder / "sync-agent.toml", folder / "kiosk.toml"
        self.identity = folder / "kiosk" / "identity"
        self.agent.write_text(
            f'state_dir = "{folder / "agent"}"\ntenant = "xz"\n[broker]\nport = {free_port()}\n'
            f"[web]\nport = {free_port()}\n[door]\nport = {self.port}\n"
        )
        self.kiosk.write_text(f'state_dir = "{folder / "kiosk"}"\n[notice]\ncontroller = "c"\ncontact = "c"\n')

    def command(self, program: str, *words: str) -> list[str | Path]:
        file = self.agent if program == "sync_agent" else self.kiosk
        return [sys.executable, "-m", program, *words, "--settings", file]

    def centre(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(self.command("sync_agent", *words), capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr


def test_a_device_is_invited_asks_is_approved_and_its_keys_are_listed(state_dir: Path) -> None:
    at = Commands(state_dir)
    at.centre("device", "init")
    code = at.centre("device", "invite", "--device", "kiosk-1", "--serial", "abc", "--site", "site-7").strip()
    serve = Process("sync agent", at.command("sync_agent", "serve"), state_dir / "agent.log")
    serve.start(lambda: is_listening(at.port), within_s=20)
    asking = Process(
        "kiosk enrol",
        at.command("kiosk", "enrol", "--server", f"https://127.0.0.1:{at.port}", "--code", code, "--serial", "abc"),
        state_dir / "enrol.log",
    )
    try:
        asking.start(lambda: b"Number: " in (state_dir / "enrol.log").read_bytes(), within_s=20)
        shown = re.search(r"Number: ([0-9 ]{14})", (state_dir / "enrol.log").read_text())
        assert shown is not None
        assert shown[1] in at.centre("device", "requests")
        assert "number is not that" in at.centre("device", "approve", "kiosk-1", "--number", "1", code=2)
        at.centre("device", "approve", "kiosk-1", "--number", shown[1])
        assert asking.wait(within_s=20) == 0
    finally:
        asking.stop()
        serve.stop()
    assert identity.load(at.identity).door == f"https://127.0.0.1:{at.port}"
    at.centre("keys", "stage", "agent")
    assert "kiosk-1" in at.centre("keys", "promote", "agent", code=2), "who would be cut off is named"
    assert "needs --reason" in at.centre("keys", "promote", "agent", "--force", code=2)
    at.centre("keys", "promote", "agent", "--force", "--reason", "a test")
    lines = at.centre("keys", "list").splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("agent")] == [["agent", "in-force"], ["agent", "former"]]
    assert "no such" not in at.centre("device", "rotate", "kiosk-1")
    assert "there is no device" in at.centre("device", "rotate", "kiosk-2", code=2)
