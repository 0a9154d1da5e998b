"""What an operator is told by commands that list: what there is, or that there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sync_agent.__main__ import app
from sync_agent.contract import logs
from sync_agent.contract.topics import DeviceId
from sync_agent.fleet import alarms, authority
from sync_agent.registry.database import Database
from sync_agent.registry.protect import vault_at
from sync_agent.registry.tables import AlarmKind
from tests.sync_agent.world import NOW

NOTHING = {
    ("device", "list"): "No device is enrolled.",
    ("device", "requests"): "No device asks to be let in.",
    ("device", "gaps"): "No record is missing.",
    ("device", "gaps", "kiosk-1"): "No record of kiosk-1 is missing.",
    ("device", "alarms"): "No alarm is open.",
    ("device", "alarms", "kiosk-1"): "No alarm of kiosk-1 is open.",
    ("agents",): "No sync agent takes records.",
}


@pytest.fixture
def settings(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of a centre that has keys and nothing else; logs are left as the tests have them."""
    monkeypatch.setattr(logs, "set_up", lambda _program: None)
    file = state_dir / "sync-agent.toml"
    file.write_text(f'state_dir = "{state_dir}"\ntenant = "xz"\n', encoding="utf-8")
    authority.establish(state_dir / "keys", (), NOW)
    return file


def told(settings: Path, *command: str) -> list[str]:
    result = CliRunner().invoke(app, [*command, "--settings", str(settings)])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


@pytest.mark.parametrize("command", NOTHING, ids=" ".join)
def test_where_there_is_nothing_that_is_said(settings: Path, command: tuple[str, ...]) -> None:
    assert NOTHING[command] in told(settings, *command)


def test_where_there_is_something_it_is_told_and_nothing_else(settings: Path) -> None:
    assert NOTHING["device", "alarms"] in told(settings, "device", "alarms")
    database = Database(f"sqlite:///{settings.parent / 'registry.db'}", vault_at(settings.parent / "keys" / "data.key"))
    with database.write() as session:
        alarms.sound(session, AlarmKind.CLOCK, DeviceId("kiosk-1"), "ahead", "far off", NOW)
    database.close()
    lines = told(settings, "device", "alarms")
    assert len([line for line in lines if "kiosk-1" in line and "far off" in line]) == 1
    assert NOTHING["device", "alarms"] not in lines


def test_the_keys_of_a_new_centre_are_listed(settings: Path) -> None:
    assert len(told(settings, "keys", "list")) >= 3
