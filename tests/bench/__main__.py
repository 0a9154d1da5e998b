"""The benchmarks: `./system/bench [NAME ...] [--json]`. Each `bench_NAME.py` here has a `benchmarks()` that yields its results.

Ends with code 1 when a goal was missed. A figure that cannot be had on this machine says why instead of a number.
"""

from __future__ import annotations

import importlib
import json
import logging
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Annotated, cast

import structlog
import typer

import tests.bench
from tests.bench.result import Result


def found() -> dict[str, str]:
    """Return the benchmarks there are: name -> module."""
    names = [module.name for module in pkgutil.iter_modules(tests.bench.__path__)]
    return {name.removeprefix("bench_"): f"{tests.bench.__name__}.{name}" for name in sorted(names) if name.startswith("bench_")}


def run(modules: Iterable[str]) -> Iterator[Result]:
    """Run benchmarks one after the other and yield each figure when it is there."""
    for module in modules:
        benchmarks = cast("Callable[[], Iterator[Result]]", importlib.import_module(module).benchmarks)
        yield from benchmarks()


def line(result: Result) -> str:
    """Return a figure as a line of the table."""
    goal = {True: f"{result.goal} met", False: f"{result.goal} MISSED", None: result.goal}[result.met]
    if result.value is None:
        return f"{result.name:<44} {'-':>10} {result.unit:<6} {goal:<16} {result.why}"
    against = f" against {result.peer}" if result.peer else ""
    rounds = f"{result.rounds} rounds, spread {result.spread:.0%}"
    return f"{result.name:<44} {result.value:>10.4g} {result.unit:<6} {goal:<16} {rounds}{against}"


def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Which; all by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line instead of a table.")] = False,
) -> None:
    """Measure the product against its peers, in one run."""
    there = found()
    if unknown := set(names or ()) - there.keys():
        typer.echo(f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(there)}.", err=True)
        raise typer.Exit(2)
    # Lines of logs would stand between the figures.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    missed = False
    for result in run(there[name] for name in names or there):
        typer.echo(json.dumps(asdict(result), ensure_ascii=False) if as_json else line(result))
        sys.stdout.flush()
        missed |= result.met is False
    raise typer.Exit(int(missed))


if __name__ == "__main__":
    typer.run(main)
