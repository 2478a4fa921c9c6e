"""Logs of the commands: one line an event, on stderr. What libraries log, and Python's warnings, come so too."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from loa.config import LogFormat, LogLevel

LEVELS: dict[LogLevel, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_OF_LIBRARIES = logging.WARNING
"""Below this libraries tell what is nobody's business: statements with their values among it."""


def log_to_stderr(level: LogLevel, form: LogFormat = "auto") -> None:
    """From now on log so; "auto": readable on a terminal, JSON anywhere else."""
    console = sys.stderr.isatty() if form == "auto" else form == "console"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _add_logger,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
            if console
            else structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=_NamedLoggers(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_ToStructlog()], level=max(_OF_LIBRARIES, LEVELS[level]), force=True)
    logging.captureWarnings(True)


class _NamedLogger(structlog.PrintLogger):
    """A logger that knows its name."""

    def __init__(self, file: TextIO, name: str) -> None:
        super().__init__(file)
        self.name = name


class _NamedLoggers:
    """Makes them."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __call__(self, name: str = "loa") -> _NamedLogger:
        return _NamedLogger(self._file, name)


def _add_logger(logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.setdefault("logger", logger.name)
    return event


class _ToStructlog(logging.Handler):
    """Hands on what came through the standard library's logging."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line, whoever wrote it."""
        more: dict[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)  # its arguments do not fit its text: the text alone, then
        structlog.get_logger(record.name).log(record.levelno, message, **more)
