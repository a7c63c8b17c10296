"""The least that Prepare could do: gunzip, unpickle, encode and write the same PNGs.

    python benchmarks/prepare_floor.py ARCHIVE FOLDER

Here to be measured against (see `benchmarks/prepare.py`); it checks nothing and writes no lists.
"""

import os
import pickle
import sys
import tarfile

from steps import png


def main(archive: str, folder: str) -> None:
    """Writes the images of two classes."""
    with tarfile.open(archive) as tar:
        for split in ("train", "test"):
            file = tar.extractfile(f"cifar-100-python/{split}")
            assert file is not None
            table = pickle.loads(file.read(), encoding="bytes")  # noqa: S301 # the bare minimum
            os.makedirs(f"{folder}/{split}")
            for row, label in enumerate(table[b"fine_labels"]):
                if label in (8, 48):
                    name = table[b"filenames"][row].decode()
                    with open(f"{folder}/{split}/{name}", "wb") as image:
                        image.write(png.encode(table[b"data"][row].tobytes()))


if __name__ == "__main__":
    main(*sys.argv[1:])
