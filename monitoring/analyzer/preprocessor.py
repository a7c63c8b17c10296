"""Runs a record preprocessor script, as the analyzer does.

Source: "Preprocessing script", SageMaker AI guide. AWS pipes the records through a `python3` of its
own, so that a script must not write to stdout there; here it runs in this process and its stdout is
sent to stderr. An exception fails the job on both.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import logging
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from monitoring import record_preprocessor
from monitoring.analyzer.chunk import Row
from monitoring.analyzer.settings import AnalyzerError

_LOG = logging.getLogger("preprocessor")


class Preprocessor:
    """The script's `preprocess_handler`. Raises AnalyzerError when it cannot be loaded.

    `is_ours` says that the script is `monitoring/record_preprocessor.py`, byte for byte.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.is_ours = path.read_bytes() == Path(record_preprocessor.__file__).read_bytes()
        handler = load(path, "preprocess_handler", "record preprocessor")
        # Only a second parameter that is called so gets the logger.
        takes_logger = "logger" in inspect.signature(handler).parameters
        self._extra = {"logger": _LOG} if takes_logger else {}
        self._handler = handler

    def rows(self, record: Any, where: str) -> list[Row]:
        """The rows of one record: a dict is one, a list any number, none to drop the record."""
        try:
            with contextlib.redirect_stdout(sys.stderr):
                found = self._handler(record, **self._extra)
        except Exception as error:  # whatever the script raises fails the job
            raise AnalyzerError(
                f"Exception while invoking preprocessor script {self._path.name} on {where}: "
                f"{type(error).__name__}: {error}"
            ) from error
        rows = found if isinstance(found, list) else [found]
        return [self._checked(row, where) for row in rows]

    def _checked(self, row: Any, where: str) -> Row:
        # [?] What None and {} mean to the analyzer is not known: refused, so that nobody relies.
        if not isinstance(row, Mapping) or not row:
            raise AnalyzerError(
                f"The preprocessor script {self._path.name} returned {row!r} for {where}; it must "
                "return a dict with values, a list of such, or [] to drop the record."
            )
        for name, value in row.items():
            plain = value is None or isinstance(value, (str, int, float))
            if not plain or (isinstance(value, float) and not math.isfinite(value)):
                raise AnalyzerError(
                    f"The preprocessor script {self._path.name} returned {value!r} "
                    f"({type(value).__name__}) as {name!r} for {where}; the values of a row are "
                    "texts, finite numbers, true, false and None: AWS passes them on as JSON."
                )
        return {str(name): value for name, value in row.items()}


def load(path: Path, function: str, what: str) -> Callable[..., Any]:
    """The function of a script that is imported from its file. Raises AnalyzerError."""
    spec = importlib.util.spec_from_file_location(f"_script_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise AnalyzerError(f"The {what} {path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except Exception as error:  # whatever the script raises at import fails the job
        raise AnalyzerError(
            f"The {what} {path} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    handler = getattr(module, function, None)
    if not callable(handler):
        raise AnalyzerError(f"The {what} {path} has no function {function}.")
    return handler  # type: ignore[no-any-return]  # a script of somebody's has no types
