"""The command for model packs: `python -m models build dlib`, `python -m models verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from models.load import BadPack, load, names

app = typer.Typer(help="Model packs: make their weights, check them.", no_args_is_help=True, pretty_exceptions_enable=False)

Out = Annotated[Path | None, typer.Option("--out", help="Folder of the weights; the one within the pack by default.")]


@app.command()
def build(pack: Annotated[str, typer.Argument(help="Name of the pack.")], out: Out = None) -> None:
    """Make a pack's weights from the package they are published in; does nothing where they are right."""
    from models.build.pack import build as make  # needs onnx, which a kiosk does not carry

    try:
        made = make(load(pack, out))
    except BadPack as err:
        _give_up(err)
    typer.echo(f"{pack}: " + (", ".join(path.name for path in made) or "nothing to do"))


@app.command()
def verify(pack: Annotated[str | None, typer.Argument(help="Name of the pack; all by default.")] = None, out: Out = None) -> None:
    """Check that every file of a pack is the one it names."""
    for name in [pack] if pack else names():
        try:
            load(name, out).verify()
        except BadPack as err:
            _give_up(err)
        typer.echo(f"{name}: as it should be")


def _give_up(err: BadPack) -> NoReturn:
    typer.echo(f"{err.code}: {err}", err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
