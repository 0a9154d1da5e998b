"""How both sides log: one JSON line an event; of a failure its kind and place, never its text, which may hold personal data."""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType

import structlog
from structlog.typing import EventDict, ExcInfo, WrappedLogger


def set_up(program: str) -> None:
    """Send every event of `program` as one JSON line to standard error."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            where_it_failed,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    log = structlog.get_logger(program)

    def uncaught(kind: type[BaseException], failure: BaseException, where: TracebackType | None) -> None:
        log.critical("program.failed", program=program, exc_info=(kind, failure, where))

    sys.excepthook = uncaught


def where_it_failed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace ``exc_info`` by the chain of exception types and the lines they passed."""
    given: ExcInfo | BaseException | bool | None = event.pop("exc_info", None)
    failure = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(failure, BaseException):
        event["failure"] = list(_chain(failure))
    return event


def _chain(failure: BaseException | None) -> list[str]:
    lines = []
    while failure is not None:
        frames = [
            f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(failure.__traceback__)
        ]
        lines.append(f"{type(failure).__name__} at {' > '.join(frames)}")
        if isinstance(failure, BaseExceptionGroup):
            lines.extend(line for inner in failure.exceptions for line in _chain(inner))
        failure = failure.__cause__ or failure.__context__
    return lines
