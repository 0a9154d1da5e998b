"""What every command shares: where the settings are, and how it says that it cannot go on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

from sync_agent.settings import BadSettings, Settings, load

SettingsFile = Annotated[Path, typer.Option("--settings", "-s", envvar="SYNC_AGENT_SETTINGS", help="Settings file (TOML).")]
DEFAULT: Final = Path("/etc/renzheng/sync-agent.toml")


def settings_or_exit(path: Path) -> Settings:
    """Load the settings, or say what is wrong with them and end."""
    try:
        return load(path)
    except BadSettings as err:
        raise stop(err) from err


def show(lines: Iterable[object], *, nothing: str) -> None:
    """Print lines, or say that there are none: a silent command looks like one that failed."""
    typer.echo("\n".join(map(str, lines)) or nothing)


def stop(why: Exception) -> typer.Exit:
    """Say why a command cannot go on; return what ends it."""
    typer.echo(f"sync-agent: {why}", err=True)
    return typer.Exit(2)
