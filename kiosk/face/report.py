"""Says what an evaluation found: as a table for the terminal, as a page of its own, as a picture. Never which pictures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

import cv2

from kiosk.face import plot
from kiosk.face.evaluate import FMRS, Measured, Proposal
from kiosk.face.evaluate_challenge import ChallengeResult
from kiosk.face.plot import Drawing, Marked
from kiosk.face.rates import TO_CLAIM, TO_TRUST
from models.evaluation import Point, Rate

PLOTS: Final = (".png", ".html")
"""What a plot's name ends in."""

_STYLE: Final = (
    "body{font:15px/1.5 sans-serif;max-width:78em;margin:2em auto;padding:0 1em;color:#202020}"
    "pre{background:#f6f6f6;padding:1em;white-space:pre-wrap}svg{width:100%;font:13px sans-serif}"
)


def table(measured: Measured) -> str:
    """Return the figures as lines of text."""
    found = measured.evaluation
    calibrated = f"calibration {found.calibration[:12]}" if found.calibration else "no calibration"
    lines = [
        f"pack {found.pack} ({found.pack_sha256[:12]}), {found.condition} portraits, scoring {found.scoring}, {calibrated}",
        f"{found.genuine} pairs of one person, {found.impostor} of strangers, {found.identities} people",
        "",
        _line("failure to acquire", _rate(found.failure_to_acquire)),
        *(_line(f"  {reason}", str(count)) for reason, count in measured.failures.most_common()),
        _line("equal error rate", _percent(found.eer) + _interval(found.eer_interval)),
    ]
    lines += _points("", found.points, found.band.fmr.trials)
    lines += [
        f"at the threshold in force, {found.band.accept_at:g}:",
        _line("  strangers accepted (FMR)", _rate(found.band.fmr)),
        _line("  right people not accepted (FRR)", _rate(found.band.frr)),
        *_proposed(measured.proposal, found.band.fmr.trials),
    ]
    for group in found.groups:
        lines += ["", f"group {group.name}: {group.genuine} pairs of one person, {group.impostor} of strangers"]
        lines += _points("  ", group.points, group.impostor if group.band is None else group.band.fmr.trials)
        if group.band is not None:
            lines.append(_line("  strangers accepted (FMR)", _rate(group.band.fmr)))
            lines.append(_line("  right people not accepted (FRR)", _rate(group.band.frr)))
    if measured.known:
        lines += ["", f"CAUTION: {measured.known} of the pictures are those of the calibration; these figures are too good."]
    return "\n".join([*lines, "", f"Intervals: {found.intervals}."])


def liveness_table(found: ChallengeResult) -> str:
    """Return what a liveness test did to people and attacks, as lines of text."""
    figures = found.figures
    kind = "SYNTHETIC clips: no measure of real attacks, " if figures.synthetic else "clips; "
    lines = [f"liveness: {kind}no certified test of presentation attacks (ISO/IEC 30107-3)"]
    lines.append(_line("living people refused", _rate(figures.people_refused)))
    lines += [_line(f"attack {attack.kind!r} passed", _rate(attack.passed)) for attack in figures.attacks]
    lines.append("attacks that pass when one check is left out:")
    lines += [_line(f"  without {check}", _rate(rate)) for check, rate in found.without.items()]
    lines.append("how they ended:")
    for name, ends in sorted(found.causes.items()):
        lines.append(_line(f"  {name}", ", ".join(f"{count} x {end}" for end, count in sorted(ends.items()))))
    return "\n".join([*lines, "", "Intervals: 95%, Wilson, each clip on its own."])


def drawing(measured: Measured) -> Drawing:
    """Return ROC and DET curve, with the points told and the threshold in force marked."""
    found = measured.evaluation
    marks = [Marked(point.fmr, point.fnmr.value, f"FNMR {point.fnmr.value:.2%} at {point.fmr:g}") for point in found.points]
    title = f"{found.pack}, {found.condition} portraits, {found.scoring}: EER {found.eer:.2%}"
    return plot.curves(f"{title}, {found.genuine} + {found.impostor} pairs", measured.fmr, measured.fnmr, marks)


def page(measured: Measured) -> str:
    """Return the figures and curves as an HTML page that needs nothing else."""
    found = measured.evaluation
    title = escape(f"Evaluation of {found.pack}, {found.condition}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head>\n'
        f"<body><h1>{title}</h1><p>{found.at:%Y-%m-%d %H:%M} UTC</p>\n"
        f"{plot.svg(drawing(measured))}\n<pre>{escape(table(measured))}</pre></body></html>\n"
    )


def write_plot(measured: Measured, path: Path) -> None:
    """Write the curves as a page (.html) or a picture (.png).

    Raises:
        ValueError: another ending.
        OSError: it cannot be written.
    """
    match path.suffix.lower():
        case ".html":
            path.write_text(page(measured), encoding="utf-8")
        case ".png":
            path.write_bytes(cv2.imencode(".png", plot.picture(drawing(measured)))[1].tobytes())
        case _:
            raise ValueError(f"a plot is a file ending in {' or '.join(PLOTS)}")


def _points(before: str, points: Sequence[Point], impostors: int) -> list[str]:
    told = {point.fmr: point for point in points}
    lines = []
    for fmr in FMRS:
        name = f"{before}FNMR at FMR {fmr:g}"
        if point := told.get(fmr):
            rough = "" if impostors * fmr >= TO_TRUST else f"  rough: stands for {impostors * fmr:.0f} strangers"
            lines.append(_line(name, f"{_rate(point.fnmr)}  at {point.threshold:.4f}{rough}"))
        else:
            lines.append(_line(name, f"not measurable: needs {TO_CLAIM / fmr:,.0f} pairs of strangers, there are {impostors:,}"))
    return lines


def _proposed(proposal: Proposal, impostors: int) -> list[str]:
    lines = ["thresholds these pairs suggest:"]
    pairs = (
        ("  accept up to", proposal.accept_at, proposal.accept_fmr),
        ("  to a person up to", proposal.review_at, proposal.review_fmr),
    )
    for name, at, fmr in pairs:
        if at is None:
            lines.append(_line(name, f"not measurable: FMR {fmr:g} needs {TO_CLAIM / fmr:,.0f} pairs of strangers"))
        else:
            rough = "" if impostors * fmr >= TO_TRUST else ", rough"
            lines.append(_line(name, f"{at:.4f}  for FMR {fmr:g}{rough}"))
    return lines


def _line(name: str, value: str) -> str:
    return f"{name:<34} {value}"


def _rate(rate: Rate) -> str:
    return f"{_percent(rate.value)}{_interval((rate.low, rate.high))}  {rate.events} of {rate.trials}"


def _percent(value: float) -> str:
    return f"{value:>8.3%}"


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"  [{interval[0]:.3%}, {interval[1]:.3%}]"
