"""What the original notebook does: rows in pandas, one `matplotlib.pyplot.imsave` an image.

    python benchmarks/notebook_way.py ARCHIVE FOLDER

Here to be measured against (see `benchmarks/prepare.py`); it trusts the archive.
"""

import os
import pickle
import sys
import tarfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd  # type: ignore[import-untyped] # no stubs for a benchmark


def main(archive: str, folder: str) -> None:
    """Unpacks the archive, then writes the images of two classes."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder)
    for split in ("train", "test"):
        with open(f"{folder}/cifar-100-python/{split}", "rb") as file:
            dataset = pickle.load(file, encoding="bytes")  # noqa: S301 # as the notebook does
        frame = pd.DataFrame(
            {
                "filenames": dataset[b"filenames"],
                "labels": dataset[b"fine_labels"],
                "row": range(len(dataset[b"filenames"])),
            }
        )
        frame = frame[frame["labels"].isin([8, 48])]
        frame["filenames"] = frame["filenames"].apply(lambda name: name.decode("utf-8"))
        os.makedirs(f"{folder}/{split}")
        for _, row in frame.iterrows():
            pixels = dataset[b"data"][row["row"]]
            image = np.dstack([pixels[i : i + 1024].reshape(32, 32) for i in (0, 1024, 2048)])
            plt.imsave(f"{folder}/{split}/{row['filenames']}", image)


if __name__ == "__main__":
    main(*sys.argv[1:])
