"""`sync-agent device ...` and `sync-agent keys ...`: who is let in, and the keys that devices rely on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from joserfc.jwk import OKPKey
from pydantic import ValidationError

from sync_agent import service
from sync_agent.console import DEFAULT, SettingsFile, settings_or_exit, show, stop
from sync_agent.contract import slip
from sync_agent.contract.enrolment import Request
from sync_agent.contract.topics import BadTopic, DeviceId, name
from sync_agent.fleet import alarms, authority, enrolment, gaps, invitations, renewal, trust
from sync_agent.fleet.authority import AuthorityFault, BadRequest
from sync_agent.fleet.enrolment import CannotEnrol
from sync_agent.fleet.eviction import NotEvicted
from sync_agent.fleet.keyring import Which, WrongStep

device = typer.Typer(no_args_is_help=True, help="The fleet: who is known, with which keys.")
keys = typer.Typer(no_args_is_help=True, help="The keys that devices rely on, and how one follows another.")

Device = Annotated[str, typer.Argument(help="Name of the device: a-z, 0-9 and hyphens.")]
OneDevice = Annotated[str | None, typer.Argument(help="Only of this device.")]
Kind = Annotated[
    Which, typer.Argument(help="agent: signs receipts. registry: personal parts are sealed to it. ca: signs certificates.")
]
Force = Annotated[bool, typer.Option("--force", help="Even though devices would be cut off.")]
Reason = Annotated[str, typer.Option(help="Why it is forced; kept for ever.")]


@contextmanager
def office(settings: Path) -> Iterator[service.Office]:
    """Open keys and registry for the block, or say what cannot be done and end."""
    try:
        with service.office(settings_or_exit(settings)) as at:
            yield at
    except (ValidationError, BadTopic, BadRequest, CannotEnrol, AuthorityFault, WrongStep) as err:
        raise stop(err) from err


@device.command("init")
def device_init(settings: SettingsFile = DEFAULT) -> None:
    """Make the device authority and the sync agent's own keys, those that are not there yet."""
    options = settings_or_exit(settings)
    try:
        authority.establish(options.keys_dir, options.broker.names, service.now())
    except AuthorityFault as err:
        raise stop(err) from err
    with office(settings) as at:
        enrolment.refresh_revocations(at.database, at.authority, options.fleet, service.now())


@device.command("invite")
def device_invite(
    device: Annotated[str, typer.Option(help="Name it will have: a-z, 0-9 and hyphens.")],
    serial: Annotated[str, typer.Option(help="Serial number of its board; `kiosk enrol serial` prints it.")],
    site: Annotated[str, typer.Option(help="Site where it will stand.")],
    settings: SettingsFile = DEFAULT,
) -> None:
    """Print a one-time code for one device, on one board, at one site. It is not shown again."""
    with office(settings) as at:
        who = DeviceId(name(device))
        code = invitations.invite(at.database, at.authority, who, serial, site, at.settings, service.now())
    typer.echo(code.text())


@device.command("requests")
def device_requests(settings: SettingsFile = DEFAULT) -> None:
    """List the devices that ask to be let in, each with the number that it shows, too."""
    with office(settings) as at:
        show(invitations.waiting(at.database, service.now()), nothing="No device asks to be let in.")


@device.command("approve")
def device_approve(
    device: Annotated[
        str, typer.Argument(help="The device that asks; without it, the request is read from standard input.")
    ] = "",
    number: Annotated[str, typer.Option(help="The number that the device itself shows.")] = "",
    settings: SettingsFile = DEFAULT,
) -> None:
    """Let a device in. A request from a file is read from standard input, and the answer for it is printed."""
    with office(settings) as at:
        if device:
            invitations.approve(at.database, at.authority, DeviceId(device), number, at.settings, service.now())
            typer.echo(f"{device} is let in.")
        else:
            request = _read_request()
            answer = enrolment.approve(at.database, at.authority, request, at.settings, service.now())
            typer.echo(answer.model_dump_json(indent=2))


def _read_request() -> Request:
    """Return the request on standard input, or say that there is none and end."""
    try:
        return Request.model_validate_json(sys.stdin.read())
    except ValidationError as err:
        where = ", ".join(".".join(map(str, fault["loc"])) or "all of it" for fault in err.errors(include_input=False))
        raise stop(ValueError(f"standard input holds no request ({where}). Give the file that `kiosk enrol` wrote.")) from None


@device.command("reject")
def device_reject(device: Device, settings: SettingsFile = DEFAULT) -> None:
    """Refuse a device that asks; its code is spent."""
    with office(settings) as at:
        invitations.reject(at.database, DeviceId(device), service.now())


@device.command("revoke")
def device_revoke(device: Device, settings: SettingsFile = DEFAULT) -> None:
    """Shut a device out from now on: its records are refused, its session is ended, the broker lets it in no more."""
    with office(settings) as at:
        untold = (
            "" if at.settings.broker.reload else " The broker must read its revocation list again: until then it can come back."
        )
        try:
            service.shut_out(at, DeviceId(device))
        except NotEvicted as err:
            typer.echo(f"sync-agent: {err}. Its records are refused.{untold}", err=True)
            raise typer.Exit(1) from err
        if untold:
            typer.echo(f"{device} is revoked and its session ended.{untold}")


@device.command("rotate")
def device_rotate(device: Device, settings: SettingsFile = DEFAULT) -> None:
    """Have a device replace its record key. It is told when it connects next; what the old key signed holds 30 days more."""
    with office(settings) as at:
        renewal.want_new_key(at.database, DeviceId(device), service.now())


@device.command("list")
def device_list(settings: SettingsFile = DEFAULT) -> None:
    """List every device."""
    with office(settings) as at:
        show(enrolment.listing(at.database, at.settings.fleet, service.now()), nothing="No device is enrolled.")


@device.command("gaps")
def device_gaps(name: OneDevice = None, settings: SettingsFile = DEFAULT) -> None:
    """List the records that devices have signed and that are not here, and since when; refused ones are told apart."""
    with office(settings) as at, at.database.read() as session:
        show(gaps.listing(session, None if name is None else DeviceId(name)), nothing=f"No record{_of(name)} is missing.")


@device.command("alarms")
def device_alarms(
    name: OneDevice = None,
    clear: Annotated[list[int] | None, typer.Option(help="Number of an alarm that somebody has looked at.")] = None,
    settings: SettingsFile = DEFAULT,
) -> None:
    """List the open alarms, the newest first; with --clear, close some before."""
    with office(settings) as at, at.database.write() as session:
        for number in clear or []:
            if not alarms.clear_number(session, number, service.now(), enrolment.COMMAND):
                raise stop(LookupError(f"there is no open alarm {number}. `sync-agent device alarms` shows those there are."))
        there = alarms.open_alarms(session, None if name is None else DeviceId(name))
        show(map(alarms.line, there), nothing=f"No alarm{_of(name)} is open.")


@keys.command("list")
def keys_list(settings: SettingsFile = DEFAULT) -> None:
    """List the keys, where in its change each is, and how many devices do not know it yet."""
    with office(settings) as at:
        for line in trust.listing(at.database, at.authority, service.now()):
            typer.echo(line)


@keys.command("stage")
def keys_stage(which: Kind, settings: SettingsFile = DEFAULT) -> None:
    """Make the key that is to follow; devices learn of it when they connect, and once a day."""
    with office(settings) as at:
        trust.stage(at.database, at.authority, which, enrolment.COMMAND, service.now())
        service.renew_own(at)
        _say_broker(which, at)


@keys.command("promote")
def keys_promote(which: Kind, force: Force = False, reason: Reason = "", settings: SettingsFile = DEFAULT) -> None:
    """Put the staged key in force; the one before it holds until it is retired."""
    with office(settings) as at:
        trust.promote(at.database, at.authority, which, enrolment.COMMAND, service.now(), reason=_forced(force, reason))
        service.renew_own(at)
        _say_broker(which, at)


@keys.command("retire")
def keys_retire(which: Kind, force: Force = False, reason: Reason = "", settings: SettingsFile = DEFAULT) -> None:
    """Take the former key away."""
    with office(settings) as at:
        trust.retire(at.database, at.authority, which, enrolment.COMMAND, service.now(), reason=_forced(force, reason))
        service.renew_own(at)
        _say_broker(which, at)


@keys.command("publish")
def keys_publish(settings: SettingsFile = DEFAULT) -> None:
    """Print the public keys that visitors' receipts are checked with, former ones too, those disowned not (JWKS)."""
    with office(settings) as at, at.database.read() as session:
        every = [OKPKey.import_key(key) for key in trust.agent_keys_ever(session, at.authority)]
        typer.echo(slip.published(every), nl=False)


@keys.command("disown")
def keys_disown(
    kid: Annotated[str, typer.Argument(help="Name of a former or staged agent key, 16 characters of it at least.")],
    reason: Annotated[str, typer.Option(help="Why; kept for ever.")],
    settings: SettingsFile = DEFAULT,
) -> None:
    """Have an agent key that somebody else may have hold no more, for nothing it ever signed. Publish the keys anew after it."""
    with office(settings) as at:
        whole = trust.disown(at.database, at.authority, kid, enrolment.COMMAND, reason, service.now())
    typer.echo(f"{whole} holds no more. Publish the keys now; have each device it attested get a new record key: device rotate.")


def _of(device: str | None) -> str:
    return "" if device is None else f" of {device}"


def _forced(force: bool, reason: str) -> str:
    """Return the reason of a forced step, "" where it is not forced."""
    if force and not reason:
        raise stop(ValueError("--force needs --reason, which is kept for ever"))
    return reason if force else ""


def _say_broker(which: Which, at: service.Office) -> None:
    if which is Which.CA and at.settings.broker.reload is None:
        typer.echo("Have the broker read its certificate, the authorities it trusts and the revocation lists again now.")
