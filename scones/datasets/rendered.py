"""The project's own data set: small bicycles and motorcycles, drawn here.

It is for machines that cannot reach CIFAR-100, and so it looks like it from outside: the same
archive, the same classes, sizes and counts. It says of itself that it is not CIFAR-100, in `meta`,
because a figure that was measured on drawings must never be taken for a CIFAR figure.
"""

import itertools
import pickletools
import tarfile
from pathlib import Path

import numpy as np

from scones.datasets import layout, scenes
from scones.datasets.dataset import RENDERED_NAME, replacing

_CLASSES = {"bicycle": layout.BICYCLE, "motorcycle": layout.MOTORCYCLE}
_NAME_KEY = b"dataset_name"
_META_LIMIT = 1 << 20  # bytes; the real one has about 1,500


def render(
    path: Path, *, seed: int = 0, train_per_class: int = 500, test_per_class: int = 100
) -> Path:
    """Draws the set and writes it to `path` in the layout of `scones.datasets.layout`.

    The same arguments give the same bytes (for one version of Pillow, numpy and zlib). Each image
    has a random stream of its own, (seed, split, class, number): no image of `test` is in `train`,
    and an image does not change when others are added.

    Raises: DatasetError when `path` cannot be written; nothing is left there then.
    """
    meta: dict[bytes, layout.Value] = {
        b"fine_label_names": layout.FINE_LABELS,
        b"coarse_label_names": layout.COARSE_LABELS,
        _NAME_KEY: RENDERED_NAME.encode(),
    }
    members = {
        "meta": meta,
        "train": _split(seed, 0, train_per_class, b"training batch 1 of 1"),
        "test": _split(seed, 1, test_per_class, b"testing batch 1 of 1"),
    }
    with replacing(path) as part:
        layout.write_archive(part, members)
    return path


def is_rendered(path: Path) -> bool:
    """Whether the archive says of itself that it was drawn here.

    It is taken at its word, since the word only makes its figures count for less. Nothing is
    unpickled; an archive that cannot be read says nothing.
    """
    try:
        with tarfile.open(path, "r|gz") as archive:
            first = archive.next()  # `render` writes meta first, so nothing large is read
            if first is None or first.name != f"{layout.FOLDER}/meta" or first.size > _META_LIMIT:
                return False
            file = archive.extractfile(first)
            pickled = file.read() if file else b""
        strings = [argument for _, argument, _ in pickletools.genops(pickled) if argument]
    except (OSError, EOFError, ValueError, tarfile.TarError):
        return False
    pairs = itertools.pairwise(strings)
    return (_NAME_KEY.decode(), RENDERED_NAME) in pairs


def _split(seed: int, split: int, per_class: int, batch_label: bytes) -> dict[bytes, layout.Value]:
    """One split, in shuffled order: N×3072 bytes and what the official archive says of each."""
    images, labels, names = [], [], []
    for vehicle, label in _CLASSES.items():
        for number in range(per_class):
            pixels = scenes.draw(vehicle, np.random.default_rng((seed, split, label, number)))
            images.append(pixels.transpose(2, 0, 1).reshape(-1))
            labels.append(label)
            names.append(f"{vehicle}_rendered_{'se'[split]}_{number:06d}.png".encode())
    order = np.random.default_rng((seed, split)).permutation(len(images)).tolist()
    return {
        b"filenames": [names[i] for i in order],
        b"batch_label": batch_label,
        b"fine_labels": [labels[i] for i in order],
        b"coarse_labels": [layout.VEHICLES_1] * len(images),
        b"data": np.array(images, dtype=np.uint8).reshape(-1, 3072)[order],
    }
