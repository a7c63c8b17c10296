"""The least that Prepare could do: gunzip, unpickle, encode and write the same PNGs.

    python benchmarks/prepare_floor.py ARCHIVE FOLDER

Here to be measured against (see `benchmarks/prepare.py`); it checks nothing and writes no lists.
"""

import os
import pickle
import sys
import tarfile

from PIL import Image


def main(archive: str, folder: str) -> None:
    """Writes the images of two classes."""
    with tarfile.open(archive) as tar:
        for split in ("train", "test"):
            file = tar.extractfile(f"cifar-100-python/{split}")
            assert file is not None
            table = pickle.loads(file.read(), encoding="bytes")  # noqa: S301 # the bare minimum
            images = table[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            os.makedirs(f"{folder}/{split}")
            for row, label in enumerate(table[b"fine_labels"]):
                if label in (8, 48):
                    name = table[b"filenames"][row].decode()
                    Image.fromarray(images[row]).save(f"{folder}/{split}/{name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
