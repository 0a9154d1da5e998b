"""The slip's whole way: a device is enrolled and keeps a record; the keys that the centre publishes prove what it gives out."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from kiosk.clock import SystemClock
from kiosk.uplink import identity
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.pen import Pen
from sync_agent.contract.enrolment import Answer
from sync_agent.contract.kinds import Case, Cause
from sync_agent.contract.slip import Standing
from sync_agent.contract.topics import DeviceId

pytestmark = pytest.mark.slow

DEVICE = DeviceId("kiosk-01")


def centre(folder: Path) -> Path:
    """Make a centre's keys and registry and return its settings."""
    folder.mkdir()
    file = folder / "sync-agent.toml"
    file.write_text(f'state_dir = "{folder}"\ntenant = "xz"\n', encoding="utf-8")
    file.chmod(0o600)
    run("device", "init", "--settings", file)
    return file


def run(*arguments: str | Path, given: str = "", ends_with: int = 0) -> str:
    """Run the real command and return what it prints."""
    command = [sys.executable, "-m", "sync_agent", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == ends_with, done.stderr
    return done.stdout


def enrolled(settings: Path, folder: Path) -> identity.Identity:
    request = identity.begin(folder, DEVICE, "site-1", "serial-1")
    answer = run("device", "approve", "--settings", settings, given=request.model_dump_json())
    identity.finish(folder, Answer.model_validate_json(answer))
    return identity.load(folder)


def slip_of(who: identity.Identity, folder: Path) -> str:
    with closing(Outbox(folder / "outbox.db")) as outbox:
        pen = Pen(outbox, who, SystemClock())
        text = pen.slip(pen.write(Case(site="site-1", step="card", cause=Cause.HELP), None), None, Standing.KEPT, "")
    assert text is not None
    return text


def published(settings: Path) -> Path:
    keys = settings.with_name("keys.json")
    keys.write_text(run("keys", "publish", "--settings", settings), encoding="utf-8")
    return keys


def test_what_a_device_gives_its_visitor_is_proven_by_the_keys_of_its_centre_and_of_no_other(tmp_path: Path) -> None:
    own, other = centre(tmp_path / "own"), centre(tmp_path / "other")
    text = slip_of(enrolled(own, tmp_path / "identity"), tmp_path / "box")
    said = run("verify-receipt", text, "--keys", published(own), "--language", "en")
    assert "Device: kiosk-01\nPlace: site-1\n" in said
    said = run("verify-receipt", text, "--keys", published(other), "--language", "en", ends_with=1)
    assert "kiosk-01" not in said
