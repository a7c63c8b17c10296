"""The "python version" layout of CIFAR-100, written as Python 2 wrote it.

The archive is a tar.gz of one folder with three pickles, `meta`, `train` and `test`; an image is a
row of 3,072 bytes: 1,024 red, 1,024 green, 1,024 blue, each 32 rows of 32 pixels
(https://www.cs.toronto.edu/~kriz/cifar.html).

Python 3's own `pickle` cannot write it: its protocol 2 turns `bytes` into a call of
`_codecs.encode`, and numpy 2 names `numpy._core`. A careful reader allows neither, only the three
globals that the official archive holds. So the few opcodes that are needed are written here.
"""

import gzip
import io
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

FOLDER = "cifar-100-python"
BICYCLE, MOTORCYCLE, VEHICLES_1 = 8, 48, 18

FINE_LABELS = tuple(
    b"apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus "
    b"butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch "
    b"crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo "
    b"keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain "
    b"mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain "
    b"plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk "
    b"skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone "
    b"television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman "
    b"worm".split()
)
COARSE_LABELS = tuple(
    b"aquatic_mammals fish flowers food_containers fruit_and_vegetables "
    b"household_electrical_devices household_furniture insects large_carnivores "
    b"large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores "
    b"medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1 "
    b"vehicles_2".split()
)

Value = bytes | int | np.ndarray | tuple[bytes, ...] | list[bytes] | list[int]


def write_archive(path: Path, members: Mapping[str, Mapping[bytes, Value]]) -> None:
    """Writes `members` (file name -> what its pickle holds) as a tar.gz, in the order given.

    Equal members give equal bytes: no time, owner or file name goes into the archive.
    """
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in members.items():
            pickled = pickle_as_python_2(content)
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(pickled)
            archive.addfile(member, io.BytesIO(pickled))


def pickle_as_python_2(content: Mapping[bytes, Value]) -> bytes:
    """`content` as a protocol 2 pickle with byte strings; opcodes as `pickletools` names them."""
    items = b"".join(_string(key) + _value(value) for key, value in content.items())
    return b"\x80\x02" + b"}(" + items + b"u."  # PROTO 2, EMPTY_DICT MARK … SETITEMS STOP


def _value(value: Value) -> bytes:
    if isinstance(value, bytes):
        return _string(value)
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)  # BININT
    if isinstance(value, np.ndarray):
        return _array(value)
    return b"](" + b"".join(map(_value, value)) + b"e"  # EMPTY_LIST MARK … APPENDS


def _string(value: bytes) -> bytes:
    if len(value) < 256:
        return b"U" + struct.pack("<B", len(value)) + value  # SHORT_BINSTRING
    return b"T" + struct.pack("<i", len(value)) + value  # BINSTRING


def _array(array: np.ndarray) -> bytes:
    """A two-dimensional uint8 array: `_reconstruct(ndarray, (0,), "b")`, then its state."""
    rows, columns = array.shape
    empty = (
        b"cnumpy.core.multiarray\n_reconstruct\n"  # GLOBAL
        b"cnumpy\nndarray\n"
        + _value(0)
        + b"\x85"
        + _string(b"b")
        + b"\x87R"  # TUPLE1 TUPLE3 REDUCE
    )
    dtype = (
        b"cnumpy\ndtype\n" + _string(b"u1") + _value(0) + _value(1) + b"\x87R"
        b"(" + _value(3) + _string(b"|") + b"NNN" + _value(-1) + _value(-1) + _value(0) + b"tb"
    )
    shape = _value(rows) + _value(columns) + b"\x86"  # TUPLE2
    state = _value(1) + shape + dtype + b"\x89" + _string(array.astype("u1").tobytes())  # NEWFALSE
    return empty + b"(" + state + b"tb"  # MARK … TUPLE BUILD
