"""The edge that the job programs share: arguments come in here, failures go out.

SageMaker reads the reason of a failure from files, not from the log:

- `/opt/ml/output/failure` becomes the `FailureReason` of a training job (first 1,024 characters);
- `/opt/ml/output/message` becomes the `ExitMessage` of a processing job (at most 1,024 characters).

Both are written, because a program need not know which kind of job runs it. They hold the sentence
alone: whoever reads them knows the job by its name. By hand, outside of a
job, nothing is written but the sentence on stderr.

Sources: "How Amazon SageMaker AI Signals Algorithm Success and Failure" and
"How Amazon SageMaker AI Processing Runs Your Processing Container Image", SageMaker AI guide.
"""

import argparse
import errno
import math
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Never, TypeVar

OPT_ML = Path("/opt/ml")
MESSAGE_LIMIT = 1024
Number = TypeVar("Number", int, float)


class StepError(Exception):
    """What stopped the program, in one sentence that says where, what, and what to try."""


class UsageError(StepError):
    """The arguments are wrong."""


class Stopped(Exception):
    """The program was asked to stop (SIGTERM) and has put its work in a safe place."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are sentences, so that they reach `FailureReason` too."""

    def error(self, message: str) -> Never:
        raise UsageError(re.sub(r"^argument (\S+): ", r"\1 ", message))


def _in_range(kind: type[Number], low: Number, high: Number) -> Callable[[str], Number]:
    def parse(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            noun = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text} is not {noun}") from None
        if not low <= value <= high or math.isnan(value):
            raise argparse.ArgumentTypeError(f"{text} is out of range: {low:g} to {high:g}")
        return value

    return parse


def run(
    name: str,
    main: Callable[[Sequence[str] | None], None],
    argv: Sequence[str] | None = None,
    *,
    root: Path = OPT_ML,
) -> int:
    """Runs a program and returns its exit code: 0, 1 (failed), 2 (wrong arguments), 143 (stopped).

    `name` opens the line of a failure on stderr ("Prepare failed: ..."). `root` is where SageMaker
    mounts the job's folders.
    """
    try:
        main(argv)
    except Stopped as stopped:
        print(f"{name} stopped: {stopped}", file=sys.stderr, flush=True)
        return 143
    except StepError as error:
        return _fail(name, str(error), root, code=2 if isinstance(error, UsageError) else 1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return _fail_unexpectedly(name, error, root)
        return _fail(name, disk_full(error), root)
    except Exception as error:  # the edge of the program: whatever it was must reach SageMaker
        return _fail_unexpectedly(name, error, root)
    return 0


def disk_full(error: OSError) -> str:
    """The sentence for ENOSPC and EDQUOT."""
    where = f" that holds {error.filename}" if error.filename else ""
    return f"no space left on the volume{where}; raise VolumeSizeInGB of the job, or free some"


def _fail_unexpectedly(name: str, error: Exception, root: Path) -> int:
    traceback.print_exc()
    return _fail(name, f"{type(error).__name__}: {error}", root)


def _fail(name: str, sentence: str, root: Path, code: int = 1) -> int:
    print(f"{name} failed: {sentence}", file=sys.stderr, flush=True)
    if any((root / folder).is_dir() for folder in ("input", "processing", "config")):
        output = root / "output"
        try:
            output.mkdir(exist_ok=True)
            for file in ("failure", "message"):
                (output / file).write_text(sentence[:MESSAGE_LIMIT])
        except OSError as error:  # a full disk: the log and the exit code still tell
            print(f"could not write below {output}: {error}", file=sys.stderr, flush=True)
    return code


def whole(low: int, high: int) -> Callable[[str], int]:
    """An argparse type: a whole number from `low` to `high`."""
    return _in_range(int, low, high)


def real(low: float, high: float) -> Callable[[str], float]:
    """An argparse type: a finite number from `low` to `high`."""
    return _in_range(float, low, high)


def optional(text: str) -> str:
    """An argparse type: a text, or nothing for `none`.

    A pipeline's parameter cannot be empty, so `none` stands for what was not given.
    """
    return "" if text == "none" else text


def parser(module: str, description: str) -> Parser:
    """A parser for `python -m steps.<module>` that shows each default in `--help`."""
    return Parser(
        prog=f"python -m steps.{module}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
