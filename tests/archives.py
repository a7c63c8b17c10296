"""Archives in the layout of CIFAR-100 with chosen contents, as Python 2 would have pickled them.

    write_archive(path, train=split(images, labels), test=..., meta=meta())

Python 3 cannot write the byte strings of Python 2, so a small pickler of our own does.
"""

import gzip
import io
import struct
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BICYCLE, MOTORCYCLE = 8, 48
FOLDER = "cifar-100-python"


def python2_pickle(value: Any) -> bytes:
    """Protocol 2, `bytes` as Python 2's `str`, arrays by numpy's three globals."""
    return b"\x80\x02" + _pickled(value) + b"."


def _pickled(value: Any) -> bytes:
    if isinstance(value, np.ndarray):
        return _pickled_array(value)
    if isinstance(value, Mapping):
        items = b"".join(_pickled(k) + _pickled(v) for k, v in value.items())
        return b"}(" + items + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(_pickled, value)) + b"e"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_pickled, value)) + b"t"
    if isinstance(value, bytes):
        return b"T" + struct.pack("<i", len(value)) + value
    if isinstance(value, bool) or value is None:
        return {True: b"\x88", False: b"\x89", None: b"N"}[value]
    return b"J" + struct.pack("<i", value)


def _pickled_array(array: npt.NDArray[Any]) -> bytes:
    code = array.dtype.str[1:].encode()
    dtype = b"cnumpy\ndtype\n" + _pickled((code, 0, 1)) + b"R"
    dtype += _pickled((3, array.dtype.str[:1].encode(), None, None, None, -1, -1, 0)) + b"b"
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
    made += _pickled((0,)) + _pickled(b"b") + b"tR"
    by_columns = array.flags.f_contiguous and not array.flags.c_contiguous
    state = b"(" + _pickled(1) + _pickled(array.shape) + dtype + _pickled(by_columns)
    return made + state + _pickled(array.tobytes("A")) + b"tb"


def meta(**more: Any) -> dict[bytes, Any]:
    """The official names of the two classes at their places; `more` adds keys or replaces them."""
    names = [b"class %d" % i for i in range(100)]
    names[BICYCLE], names[MOTORCYCLE] = b"bicycle", b"motorcycle"
    table: dict[bytes, Any] = {b"fine_label_names": names, b"coarse_label_names": []}
    return table | {key.encode(): value for key, value in more.items()}


def split(
    data: npt.NDArray[Any], labels: Sequence[int], filenames: Sequence[str] | None = None
) -> dict[bytes, Any]:
    """The table of a split: pixels (N, 3072), fine labels, file names (made up unless given)."""
    names = filenames or [f"image_{i:06}.png" for i in range(len(labels))]
    return {
        b"data": data,
        b"fine_labels": list(labels),
        b"coarse_labels": [0] * len(labels),
        b"filenames": [name.encode() for name in names],
        b"batch_label": b"a batch",
    }


def two_classes(count: int, seed: int, others: int = 3) -> dict[bytes, Any]:
    """`count` bicycles and motorcycles each that can be told apart, and a few other images.

    Bicycles are bright above and motorcycles below, under noise; a mirror changes nothing.
    """
    random = np.random.default_rng(seed)
    labels = [BICYCLE, MOTORCYCLE] * count + [0] * others
    images = random.integers(0, 120, (len(labels), 3, 32, 32), np.uint8)
    for image, label in zip(images, labels, strict=True):
        if label in (BICYCLE, MOTORCYCLE):
            top = 2 if label == BICYCLE else 20
            image[:, top : top + 10, 8:24] += 110
    return split(images.reshape(-1, 3072), labels)


def write_archive(
    path: Path,
    *,
    train: Mapping[bytes, Any] | bytes | None = None,
    test: Mapping[bytes, Any] | bytes | None = None,
    meta: Mapping[bytes, Any] | bytes | None = None,
    more: Sequence[tuple[tarfile.TarInfo, bytes]] = (),
) -> Path:
    """Writes an archive; a part left out is missing, and bytes stand for a pickle as they are.

    `more` are further members, written first. The same contents give the same bytes.
    """
    members = list(more)
    for name, part in {"train": train, "test": test, "meta": meta}.items():
        if part is not None:
            pickled = part if isinstance(part, bytes) else python2_pickle(part)
            members.append((tarfile.TarInfo(f"{FOLDER}/{name}"), pickled))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for info, content in members:
            if info.isreg():
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    path.write_bytes(gzip.compress(packed.getvalue(), compresslevel=1, mtime=0))
    return path


def good_archive(path: Path, *, train: int = 30, test: int = 12, **more: Any) -> Path:
    """A sound archive of `train` and `test` images a class; `more` goes into its meta."""
    return write_archive(
        path, train=two_classes(train, 1), test=two_classes(test, 2), meta=meta(**more)
    )
