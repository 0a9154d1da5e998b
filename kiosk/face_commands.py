"""`kiosk evaluate` and `kiosk cohort`: how good the face match is, and what a site's own people make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sync_agent.contract.kinds import Condition

if TYPE_CHECKING:
    from kiosk.face.calibration import Calibration
    from kiosk.face.cohort import People
    from models.evaluation import LivenessFigures
    from models.load import Pack

PackName = Annotated[str, typer.Option("--pack", help="Model pack; absent is the one in force.")]
PacksFolder = Annotated[Path | None, typer.Option("--packs", help="Folder with the site's model packs (`face.packs`).")]
Kind = Annotated[Condition, typer.Option(help="Portraits: of a card's chip (photos are reduced to one) or of a document.")]
KeyFile = Annotated[Path | None, typer.Option("--key", help="Key of the calibration; absent: beside it, `.key` appended.")]

THREADS = 2
EVERY = 20

cohort = typer.Typer(help="What people who consented teach about scores and thresholds.", no_args_is_help=True)


def evaluate(
    pairs: Annotated[
        Path | None, typer.Argument(help="CSV: img1 (the portrait), img2 (the photo), same (1 or 0).", show_default=False)
    ] = None,
    pack: PackName = "",
    condition: Kind = Condition.CHIP,
    labels: Annotated[Path | None, typer.Option(help="CSV: img, group. Figures for each group as well.")] = None,
    challenge: Annotated[
        Path | None, typer.Option(help="CSV of clips: clip, portrait, label, kind, asked, synthetic. Measures the liveness test.")
    ] = None,
    calibration: Annotated[Path | None, typer.Option(help="Calibration by people who are not in these pairs.")] = None,
    key: KeyFile = None,
    packs: PacksFolder = None,
    out: Annotated[Path | None, typer.Option(help="Write the figures here as JSON (what `models use` compares).")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw ROC and DET curve: .png, or .html with the figures.")] = None,
) -> None:
    """Measure a model pack on pairs of pictures, its liveness test on clips, or both. Nothing of a picture is kept."""
    from kiosk.face import report
    from kiosk.face.evaluate import evaluate as measure
    from kiosk.face.pairs import read_labels, read_pairs
    from kiosk.face.recogniser import Recogniser

    if plot is not None and plot.suffix.lower() not in report.PLOTS:
        raise typer.BadParameter(f"a plot is a file ending in {' or '.join(report.PLOTS)}", param_hint="--plot")
    if pairs is None and (challenge is None or out is not None or plot is not None):
        raise typer.BadParameter("without pairs only --challenge can be measured, and shown", param_hint="PAIRS")
    with _told_apart():
        opened = _opened(pack, packs)
        site = _calibration(calibration, key, opened, condition) if calibration else None
        liveness = _challenged(challenge, opened, condition, site) if challenge else None
        if pairs is None:
            return
        measured = measure(
            opened,
            Recogniser(opened, THREADS),
            read_pairs(pairs),
            condition=condition,
            at=datetime.now(UTC),
            progress=_progress(),
            labels=read_labels(labels) if labels else None,
            calibration=site,
        )
        typer.echo(report.table(measured))
        if out is not None:
            figures = measured.evaluation.model_copy(update={"liveness": liveness})
            out.write_text(figures.model_dump_json(indent=2) + "\n", encoding="utf-8")
        if plot is not None:
            report.write_plot(measured, plot)


@cohort.command("build")
def cohort_build(
    folder: Annotated[Path, typer.Argument(help="One folder a person: `portrait.*` and photos; and consent.csv (person, date).")],
    out: Annotated[Path, typer.Option(help="The calibration: encrypted, for this device (`face.calibration`).")],
    pack: PackName = "",
    condition: Kind = Condition.CHIP,
    fmr: Annotated[float, typer.Option(min=1e-5, max=0.1, help="False-match rate to accept at.")] = 1e-3,
    key: KeyFile = None,
    packs: PacksFolder = None,
) -> None:
    """Make a site's calibration from pictures of people who consented. Vectors are kept only where the scoring needs them."""
    from kiosk.face import cohort as made
    from kiosk.face.calibration import key_beside, write
    from kiosk.face.rates import TO_TRUST
    from kiosk.face.recogniser import Recogniser

    with _told_apart():
        opened = _opened(pack, packs)
        calibration, people = made.build(
            opened,
            Recogniser(opened, THREADS),
            made.consenting(folder),
            condition=condition,
            fmr=fmr,
            at=datetime.now(UTC),
            progress=_progress(),
        )
        sha256 = write(calibration, out, key or key_beside(out))
        typer.echo(_described(calibration, people))
        if made.is_rough(fmr, calibration.people):
            enough = made.needed_for(fmr, TO_TRUST)
            typer.echo(
                f"CAUTION: to trust a rate of {fmr:g} to about a third takes {enough} people; there are {calibration.people}."
            )
        typer.echo(f"sha256 {sha256}")


def _described(calibration: Calibration, people: People) -> str:
    """Return what was found, person by person where something failed."""
    band, summary = calibration.band, calibration.summary
    lines = [f"{calibration.people} people, {summary.photos} photos, {summary.failures} pictures that could not be used"]
    for failure in people.failures:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in failure.reasons.most_common())
        lines.append(f"  {failure.name}: {reasons}{' (left out)' if failure.left_out else ''}")
    lines.append(f"on halves with disjoint people, at a false-match rate of {summary.tried[0].fmr:.2g}:")
    for tried in summary.tried:
        mark = "  <- chosen" if tried.scoring is calibration.scoring else ""
        rate = f"FNMR {tried.fnmr.value:.2%} [{tried.fnmr.low:.2%}, {tried.fnmr.high:.2%}]"
        lines.append(f"  {tried.scoring:<16} {rate}  EER {tried.eer:.2%}{mark}")
    lines += [
        f"accept up to {band.accept_at:.4f}: {summary.fmr.events} of {summary.fmr.trials} pairs of strangers (FMR "
        f"{band.accept_fmr:g}), {summary.frr.events} of {summary.frr.trials} of one person not accepted",
        f"to a person up to {band.review_at:.4f} (FMR {band.review_fmr:g})",
    ]
    return "\n".join(lines)


def _opened(name: str, packs: Path | None) -> Pack:
    from models.shelf import Shelf

    shelf = Shelf(packs)
    return shelf.open(name) if name else shelf.in_force()


def _calibration(path: Path, key: Path | None, pack: Pack, condition: Condition) -> Calibration:
    from kiosk.face.calibration import BadCalibration, CalibrationFault, key_beside, load

    found = load(path, key or key_beside(path), pack.sha256)
    if found.condition is not condition:
        text = f"calibration {str(path)!r} is for {found.condition} portraits; evaluate it with --condition {found.condition}"
        raise BadCalibration(CalibrationFault.WRONG_CONDITION, text)
    return found


def _challenged(clips: Path, pack: Pack, condition: Condition, calibration: Calibration | None) -> LivenessFigures:
    """Measure the liveness test on clips and say what was found."""
    from kiosk.face.evaluate_challenge import evaluate_challenge, read_clips
    from kiosk.face.matcher import Matcher
    from kiosk.face.report import liveness_table
    from kiosk.face.tally import Standard
    from kiosk.settings import FaceSettings

    standard = Standard.of(pack, condition, calibration)
    found = evaluate_challenge(Matcher(pack, THREADS, calibration), standard, FaceSettings().turn_s, read_clips(clips))
    typer.echo(liveness_table(found))
    return found.figures


def _progress() -> Callable[[int, int], None]:
    def show(done: int, of: int) -> None:
        if done % EVERY == 0 or done == of:
            typer.echo(f"{done} of {of} pictures", err=True)

    return show


@contextmanager
def _told_apart() -> Iterator[None]:
    """Say what cannot be done and end with 1."""
    from kiosk.face.calibration import BadCalibration
    from kiosk.face.evaluate import NotEnough
    from kiosk.face.evaluate_challenge import BadClips
    from kiosk.face.model import NotNumbers
    from kiosk.face.pairs import BadList
    from models.load import BadPack

    try:
        yield
    except (BadCalibration, BadClips, BadPack) as err:
        typer.echo(f"kiosk: {err} ({err.code})", err=True)
        raise typer.Exit(1) from err
    except (BadList, NotEnough, NotNumbers) as err:
        typer.echo(f"kiosk: {err}", err=True)
        raise typer.Exit(1) from err
    except OSError as err:
        typer.echo(f"kiosk: {str(err.filename)!r}: {err.strerror}", err=True)
        raise typer.Exit(1) from err
