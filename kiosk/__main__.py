"""The `kiosk` command."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from kiosk import face_commands
from kiosk.settings import BadSettings, Settings, load
from sync_agent.contract import logs
from sync_agent.contract.enrolment import Answer
from sync_agent.contract.topics import DeviceId

if TYPE_CHECKING:
    from kiosk.uplink.outbox import Outbox

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

SettingsFile = Annotated[Path, typer.Option("--settings", "-s", envvar="KIOSK_SETTINGS", help="Settings file (TOML).")]
DEFAULT = Path("/data/kiosk/kiosk.toml")


@app.callback()
def main() -> None:
    """The identity kiosk."""
    logs.set_up("kiosk")


def settings_or_exit(path: Path) -> Settings:
    """Load the settings, or say what is wrong with them and end."""
    try:
        return load(path)
    except BadSettings as err:
        typer.echo(f"kiosk: {err}", err=True)
        raise typer.Exit(2) from err


@app.command()
def check(settings: SettingsFile = DEFAULT) -> None:
    """Print the settings in force and end."""
    typer.echo(settings_or_exit(settings).model_dump_json(indent=2))


@app.command()
def run(settings: SettingsFile = DEFAULT) -> None:
    """Screen, journeys, card reader, camera, and the face worker. Without network: it needs Unix sockets only."""
    from kiosk.app import run_kiosk

    asyncio.run(run_kiosk(settings_or_exit(settings)))


@app.command()
def uplink(settings: SettingsFile = DEFAULT) -> None:
    """The only part with a network: empties the outbox and brings the receipts."""
    from kiosk.app import run_uplink

    asyncio.run(run_uplink(settings_or_exit(settings)))


@app.command()
def start(settings: SettingsFile = DEFAULT) -> None:
    """All processes of a kiosk from one command, `run` cut off from the network where that can be done."""
    from kiosk.start import start_all

    settings_or_exit(settings)
    raise typer.Exit(asyncio.run(start_all(settings)))


app.command()(face_commands.evaluate)
app.add_typer(face_commands.cohort, name="cohort")

outbox = typer.Typer(help="The records kept here.")
app.add_typer(outbox, name="outbox")


@outbox.callback(invoke_without_command=True)
def outbox_list(context: typer.Context, settings: SettingsFile = DEFAULT) -> None:
    """List every record kept here and how far it has come. Nothing personal can be shown: it is sealed."""
    if context.invoked_subcommand is None:
        with opened_outbox(settings) as box:
            in_force = box.epoch
            for seq, kind, at, progress, epoch in box.listing():
                former = "" if epoch == in_force else f"of former epoch {epoch}"
                answer = " ".join(filter(None, (progress.standing, progress.code, progress.fault, progress.case, former)))
                typer.echo(f"{seq:>8}  {at:%Y-%m-%d %H:%M:%S}  {kind:<13} {progress.state:<9} {answer}".rstrip())


@outbox.command("export")
def outbox_export(
    file: Annotated[Path, typer.Argument(help="File to write, for instance on a USB stick; one that is there is replaced.")],
    settings: SettingsFile = DEFAULT,
) -> None:
    """Write every record kept here to a file that only the centre's registry can open (`sync-agent import records`)."""
    from kiosk.uplink import export, identity

    try:
        who = identity.load(settings_or_exit(settings).identity_dir)
    except identity.NotEnrolled as err:
        typer.echo(f"kiosk: {err} ({err.code})", err=True)
        raise typer.Exit(1) from err
    with opened_outbox(settings) as box:
        try:
            count = export.write(box, (who.tenant, who.device), who.registry_key, file)
        except OSError as err:
            typer.echo(f"kiosk: cannot write {str(file)!r}: {err.strerror}. The outbox is unchanged.", err=True)
            raise typer.Exit(1) from err
    typer.echo(f"{count} records in {file}")


@contextmanager
def opened_outbox(settings: Path) -> Iterator[Outbox]:
    """Open the outbox, or say why it cannot be used and end."""
    from kiosk.uplink.faults import OutboxFault
    from kiosk.uplink.outbox import Outbox

    try:
        with closing(Outbox(settings_or_exit(settings).outbox_path)) as box:
            yield box
    except OutboxFault as fault:
        typer.echo(f"kiosk: {fault} ({fault.code})", err=True)
        raise typer.Exit(1) from fault


enrol = typer.Typer(help="Become known to the centre.")
app.add_typer(enrol, name="enrol")


@enrol.callback(invoke_without_command=True)
def enrol_online(
    context: typer.Context,
    server: Annotated[str, typer.Option(help="Address of the centre's enrolment door, https://HOST:PORT.")] = "",
    code: Annotated[str, typer.Option(help="The one-time code; - reads it from standard input.")] = "-",
    serial: Annotated[str, typer.Option(help="Serial number of the board; absent is what the board says.")] = "",
    settings: SettingsFile = DEFAULT,
) -> None:
    """Become known over the network: the keys are made here, an operator compares a number and approves.

    Broken off, it is given again and goes on where it was. Without a network: `request` and `answer`.
    """
    if context.invoked_subcommand is not None:
        return
    from kiosk.uplink.door import DoorAway, DoorRefused, NotTheDoor
    from kiosk.uplink.enrol import board_serial, enrol
    from sync_agent.contract.invitation import BadCode, Code

    folder = settings_or_exit(settings).identity_dir
    try:
        parsed = Code.parse(sys.stdin.readline() if code == "-" else code)
        answer = enrol(
            folder,
            server,
            parsed,
            serial or board_serial(),
            say=lambda number: typer.echo(f"Waiting for approval. Number: {number}"),
        )
    except (BadCode, DoorAway, DoorRefused, NotTheDoor) as err:
        typer.echo(f"kiosk: {err} ({err.code})", err=True)
        raise typer.Exit(1) from err
    typer.echo(f"This is {answer.device} at {answer.site}.")


@enrol.command("serial")
def enrol_serial() -> None:
    """Print the serial number of this board, for the operator who makes the code."""
    from kiosk.uplink.enrol import board_serial

    typer.echo(board_serial())


@enrol.command("request")
def enrol_request(
    device: Annotated[str, typer.Argument(help="Name of this device: a-z, 0-9 and hyphens.")],
    site: Annotated[str, typer.Argument(help="Site where it stands.")],
    serial: Annotated[str, typer.Option(help="Serial number of the board.")] = "",
    settings: SettingsFile = DEFAULT,
) -> None:
    """Make this device's keys and print the request for the operator; the keys never leave the device."""
    from kiosk.uplink.identity import begin

    request = begin(settings_or_exit(settings).identity_dir, DeviceId(device), site, serial)
    typer.echo(request.model_dump_json(indent=2))


@enrol.command("answer")
def enrol_answer(settings: SettingsFile = DEFAULT) -> None:
    """Take the operator's answer from standard input."""
    from kiosk.uplink.identity import finish

    try:
        answer = Answer.model_validate_json(sys.stdin.read())
    except ValidationError as err:
        typer.echo(
            f"kiosk: this is no answer to an enrolment request ({err.error_count()} faults). Nothing was changed.", err=True
        )
        raise typer.Exit(2) from err
    finish(settings_or_exit(settings).identity_dir, answer)


if __name__ == "__main__":
    app()
