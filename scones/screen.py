"""What a person sees: tables, progress of transfers, an execution's steps as they happen.

On a terminal the steps are redrawn in place; elsewhere (a log, a pipe) every change is one line.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from pipelines.execution import Execution, Step, last_log_line
from scones.cli import print_json

Shown = str | Callable[[dict[str, Any]], Any]  # a member of a row, or what is worked out of it

console = Console(highlight=False)
_MARKS = {"Succeeded": "✓", "Failed": "✗", "Stopped": "■", "Executing": "▸"}


def table(headers: list[str], rows: list[list[str]]) -> None:
    """A table; text wraps rather than being cut off."""
    drawn = Table(*headers, box=None, pad_edge=False)
    for row in rows:
        drawn.add_row(*row)
    console.print(drawn)


def listing(rows: list[dict[str, Any]], as_json: bool, columns: Mapping[str, Shown]) -> None:
    """The rows as JSON, or as a table of `columns`: what each shows of a row, by its title."""
    if as_json:
        print_json(rows)
        return
    table([*columns], [[_cell(row, shown) for shown in columns.values()] for row in rows])


def _cell(row: dict[str, Any], shown: Shown) -> str:
    value = row[shown] if isinstance(shown, str) else shown(row)
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)


@contextmanager
def transfer(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar in bytes that appears with the first call `(done, total)`, on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(
        *columns,
        TransferSpeedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(what, total=None, visible=False)

        def show(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        yield show


class Steps:
    """Shows an execution's steps: `with Steps(logs) as steps: watch(…, on_change=steps)`."""

    def __init__(self, logs: Any) -> None:
        self._logs = logs
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._said: dict[str, tuple[str, str]] = {}

    def __enter__(self) -> "Steps":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, execution: Execution) -> None:
        now = datetime.now(UTC)
        progress = {step.name: self._progress(step) for step in execution.steps}
        if self._live:
            self._live.update(_drawing(execution, progress, now), refresh=True)
            return
        for step in execution.steps:
            said = (step.status, progress[step.name])
            if said != self._said.get(step.name):
                self._said[step.name] = said
                console.print(_line(step, progress[step.name], now), soft_wrap=True, markup=False)

    def _progress(self, step: Step) -> str:
        """What the step itself says: its job's newest log line, or why it failed."""
        if step.status == "Executing" and step.job_arn:
            return last_log_line(step.job_arn, self._logs)
        return step.failure_reason


def _drawing(execution: Execution, progress: dict[str, str], now: datetime) -> Table:
    drawn = Table.grid(padding=(0, 2))
    for step in execution.steps:
        elapsed = "cached" if step.cached else f"{step.seconds(now):5.1f} s"
        drawn.add_row(_MARKS.get(step.status, "·"), step.name, step.status, elapsed)
        if progress[step.name]:
            drawn.add_row("", "", "", f"[dim]{_escape(progress[step.name])}[/dim]")
    return drawn


def _line(step: Step, progress: str, now: datetime) -> str:
    elapsed = "cached" if step.cached else f"{step.seconds(now):.1f} s"
    mark = _MARKS.get(step.status, "·")
    return f"  {mark} {step.name:14} {step.status:10} {elapsed:>8}  {progress}".rstrip()


def _escape(text: str) -> str:
    return text.replace("[", "\\[")


def confusion_matrix(matrix: dict[str, dict[str, int]], classes: list[str]) -> None:
    """Rows are what the image shows, columns what the model says."""
    rows = [
        [f"is a {name}", *(str(matrix[str(row)][str(column)]) for column in range(len(classes)))]
        for row, name in enumerate(classes)
    ]
    table(["", *(f"says {name}" for name in classes)], rows)
