"""The command for model packs, `python -m models`: what is at hand, make, check, put in force."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from models.load import BadPack, Pack
from models.shelf import Refused, Shelf

if TYPE_CHECKING:
    from models.fetch import NotFetched

app = typer.Typer(
    help="Model packs: get them, make them, check them, choose one.", no_args_is_help=True, pretty_exceptions_enable=False
)

Packs = Annotated[
    Path | None,
    typer.Option("--packs", help="The site's folder of packs, as in the setting face.packs; without it, those that came along."),
]
Name = Annotated[str, typer.Argument(metavar="PACK", help="Name of the pack.")]


@app.command("list")
def list_packs(packs: Packs = None) -> None:
    """Print every pack: what it may be used for, its licence, whether its weights are there, and which one is in force."""
    shelf = Shelf(packs)
    in_force = ""
    try:
        in_force = shelf.in_force().spec.name
    except BadPack as err:
        typer.echo(f"{err.code}: {err}", err=True)
    for name in shelf.names():
        try:
            pack = shelf.open(name)
        except BadPack as err:
            typer.echo(f"  {name}: {err.code}: {err}")
            continue
        missing = ", ".join(_missing(pack))
        typer.echo(f"{'*' if name == in_force else ' '} {name}: {pack.spec.title}")
        typer.echo(f"    use {pack.spec.use}, licence {pack.spec.licence}, sha256 {pack.sha256}")
        typer.echo(f"    weights {'missing or wrong: ' + missing if missing else 'as they should be'}")
    typer.echo("* in force" if in_force else "none is in force")


@app.command()
def fetch(
    pack: Name,
    packs: Packs = None,
    mirror: Annotated[str | None, typer.Option(metavar="URL", help="Address below which the files lie by their names.")] = None,
    source: Annotated[Path | None, typer.Option("--from", metavar="FOLDER", help="Folder or USB stick with the files.")] = None,
) -> None:
    """Get a pack's published files from their official addresses, a mirror or a folder; goes on where it was cut off."""
    from models.fetch import NotFetched, copy  # needs httpx, which a running kiosk has no use for
    from models.fetch import fetch as get

    if mirror and source:
        raise typer.BadParameter("either --mirror or --from")
    try:
        opened = Shelf(packs).open_to_fill(pack)
        got = copy(opened, source) if source else get(opened, mirror)
    except (BadPack, NotFetched) as err:
        _give_up(err)
    typer.echo(f"{pack}: " + (", ".join(path.name for path in got) or "nothing to do"))
    if missing := _missing(opened):
        typer.echo(f"{pack}: {', '.join(missing)} must be made: python -m models build {pack}")


@app.command()
def build(pack: Name, packs: Packs = None) -> None:
    """Make a pack's weights from what they are published in; does nothing where they are right."""
    from models.build.pack import build as make  # needs onnx, which a running kiosk has no use for

    try:
        opened = Shelf(packs).open_to_fill(pack)
        made = make(opened)
    except BadPack as err:
        _give_up(err)
    typer.echo(f"{pack}: " + (", ".join(path.name for path in made) or "nothing to do"))
    if missing := _missing(opened):
        typer.echo(f"{pack}: {', '.join(missing)} must be fetched: python -m models fetch {pack}", err=True)
        raise typer.Exit(1)


@app.command()
def verify(
    pack: Annotated[str | None, typer.Argument(metavar="[PACK]", help="Name of the pack; without, the one in force.")] = None,
    packs: Packs = None,
) -> None:
    """Check that every file of a pack is the one it names."""
    shelf = Shelf(packs)
    try:
        opened = shelf.open(pack) if pack else shelf.in_force()
        opened.verify()
    except BadPack as err:
        _give_up(err)
    typer.echo(f"{opened.spec.name}: as it should be")


@app.command()
def use(
    pack: Name,
    packs: Packs = None,
    because: Annotated[str, typer.Option(help="Why, although its evaluation is worse or there is none; is kept.")] = "",
) -> None:
    """Put a pack in force from the kiosk's next start on; refused where its evaluation is worse than that of the one in force."""
    try:
        chosen = Shelf(packs).use(pack, datetime.now(UTC), because)
    except (BadPack, Refused) as err:
        _give_up(err)
    for line in chosen.against:
        typer.echo(f"against it: {line}")
    typer.echo(f"{pack}: in force from the next start of the kiosk on")


def _missing(pack: Pack) -> list[str]:
    return [part.file for part in pack.spec.weights if not pack.has(part)]


def _give_up(err: BadPack | Refused | NotFetched) -> NoReturn:
    typer.echo(f"{err.code}: {err}", err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
