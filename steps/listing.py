"""List files: which image of a split has which label.

One line an image, `index<TAB>label<TAB>path`, the format of the built-in image-classification
algorithm. The path is a file name in the split's folder.
"""

from pathlib import Path

from steps.job import StepError


def read_list(listing: Path) -> list[tuple[int, str]]:
    """The `(label, path)` rows of a list file, in which both classes must appear."""
    try:
        lines = listing.read_text("utf-8").splitlines()
    except FileNotFoundError as error:
        raise StepError(f"{listing} does not exist; give the output of Prepare") from error
    rows = []
    for number, line in enumerate(lines, 1):
        match line.split("\t"):
            case [_, ("0" | "1") as label, path] if path and Path(path).name == path:
                rows.append((int(label), path))
            case _:
                raise StepError(
                    f"{listing}, line {number}: {line!r} is not index<TAB>0 or 1<TAB>file name"
                )
    if {label for label, _ in rows} != {0, 1}:
        raise StepError(f"{listing} has no images of one of the two classes")
    return rows
