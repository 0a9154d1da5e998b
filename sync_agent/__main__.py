"""The `sync-agent` command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sync_agent import service
from sync_agent.check import publish, words
from sync_agent.check.words import Language
from sync_agent.console import DEFAULT, SettingsFile, settings_or_exit, stop
from sync_agent.contract import documents, logs, slip
from sync_agent.contract.carried import NotCarried
from sync_agent.contract.topics import Tenant
from sync_agent.fleet import agents
from sync_agent.fleet.authority import AuthorityFault
from sync_agent.fleet_commands import device, keys
from sync_agent.ingest import carrier
from sync_agent.ingest.answers import Office
from sync_agent.registry import roster

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
bring = typer.Typer(no_args_is_help=True, help="Take lists into the registry.")
app.add_typer(device, name="device")
app.add_typer(keys, name="keys")
app.add_typer(bring, name="import")

PublishedKeys = Annotated[Path, typer.Option("--keys", "-k", help="The published keys (JWKS), as `keys publish` wrote them.")]


@app.callback()
def main() -> None:
    """The central sync agent."""
    logs.set_up("sync-agent")


@app.command()
def serve(settings: SettingsFile = DEFAULT) -> None:
    """Take records, serve the staff page, and keep the enrolment door open where there is one."""
    from sync_agent.web.doorway import DoorStuck

    try:
        service.serve(settings_or_exit(settings))
    except (AuthorityFault, DoorStuck) as err:
        raise stop(err) from err


@app.command()
def ingest(settings: SettingsFile = DEFAULT) -> None:
    """Take records only, without a page: one more beside those that serve."""
    try:
        with service.until_told() as told, service.office(settings_or_exit(settings)) as at, service.ingest(at):
            told.wait()
    except AuthorityFault as err:
        raise stop(err) from err


@app.command()
def migrate(settings: SettingsFile = DEFAULT) -> None:
    """Bring the registry's database up to date and end."""
    with service.office(settings_or_exit(settings)):
        typer.echo("The registry is up to date.")


@app.command("agents")
def list_agents(settings: SettingsFile = DEFAULT) -> None:
    """List the sync agents side by side: who is alive, and which shards each holds since when."""
    with service.office(settings_or_exit(settings)) as at, at.database.read() as session:
        typer.echo(str(agents.look(session)))


@app.command()
def contract(folder: Annotated[Path, typer.Argument(help="Folder to write to.")] = documents.FOLDER) -> None:
    """Write the JSON Schemas and the AsyncAPI description of the wire."""
    documents.write(folder)


@bring.command("people")
def import_people(
    file: Annotated[Path, typer.Argument(help="CSV with the columns name and number.")],
    site: Annotated[str, typer.Option(help="The site whose roster it is.")],
    settings: SettingsFile = DEFAULT,
) -> None:
    """Take in a site's roster; every line that cannot be taken is named with its reason, and then none is."""
    try:
        with service.office(settings_or_exit(settings)) as at, at.database.write() as session:
            count = roster.import_people(session, file.read_text(encoding="utf-8"), site, service.now())
    except (OSError, roster.BadRoster) as err:
        raise stop(err) from err
    typer.echo(f"{count} people are on the roster of {site}.")


@bring.command("records")
def import_records(
    file: Annotated[Path, typer.Argument(help="As `kiosk outbox` exported it.")],
    settings: SettingsFile = DEFAULT,
) -> None:
    """Take in records that were carried here by hand; what is here already changes nothing. A running sync agent judges them."""
    try:
        with service.office(settings_or_exit(settings)) as at, file.open("rb") as opened:
            desk = Office(Tenant(at.settings.tenant), lambda: at.authority.receipt_key, service.now)
            brought = carrier.bring_in(at.database, desk, at.authority.registry_keys, opened)
    except (OSError, NotCarried, AuthorityFault) as err:
        raise stop(err) from err
    typer.echo(f"{brought.messages} messages taken in; {brought.refused} records in them were refused and are in quarantine.")


@app.command("verify-receipt")
def verify_receipt(
    text: Annotated[str, typer.Argument(help="What the code holds; - reads it from standard input.")],
    keys: PublishedKeys,
    language: Annotated[Language, typer.Option(help="Of the answer.")] = Language.ZH,
) -> None:
    """Say what a visitor's receipt proves; ends with 0 if it proves anything, with 1 if not. Needs no network and no settings."""
    try:
        known = slip.read_published(keys.read_text(encoding="utf-8"))
        proof = slip.check(sys.stdin.read() if text == "-" else text, known, service.now())
    except slip.NotProven as why:
        typer.echo(words.refused(why.verdict, language))
        raise typer.Exit(1) from why
    except (OSError, ValueError) as err:
        raise stop(err) from err
    typer.echo(words.proven(proof, language))


@app.command("verify-page")
def verify_page(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.")],
    keys: PublishedKeys,
) -> None:
    """Write the page that checks visitors' receipts offline: for a web server, a shared folder or a USB stick."""
    try:
        publish.write(folder, slip.read_published(keys.read_text(encoding="utf-8")))
    except (OSError, ValueError) as err:
        raise stop(err) from err


if __name__ == "__main__":
    app()
