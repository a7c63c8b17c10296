"""Pickles of moto's state, with rules for what has none and a short list of what may come back.

The file is our own and private to its owner; still only moto's classes, ours and a few plain types
of the standard library are made from it. A name with a dot is refused, because it would reach
through a module to whatever that module imports.
"""

import copyreg
import datetime
import enum
import io
import pickle
import threading
from collections import defaultdict
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

_OWN = ("moto.", "localaws.")
_PLAIN = {
    "builtins": {"set", "frozenset", "bytearray", "complex", "slice", "range", "object", "dict"}
    | {"list", "tuple", "str", "int", "float", "bool", "bytes"},
    "collections": {"OrderedDict", "defaultdict", "deque"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "functools": {"partial"},
    "ipaddress": {"IPv4Address", "IPv4Network"},
    "re": {"_compile"},
    "requests.structures": {"CaseInsensitiveDict"},
    "uuid": {"UUID"},
}


def new_lock() -> Any:
    return threading.Lock()


def new_rlock() -> Any:
    return threading.RLock()


def new_condition() -> Any:
    return threading.Condition()


def new_event() -> Any:
    return threading.Event()


_MADE_ANEW: dict[type, Callable[[], Any]] = {
    type(threading.Lock()): new_lock,
    type(threading.RLock()): new_rlock,
    threading.Condition: new_condition,
    threading.Event: new_event,
}

Reference = tuple[str, ...]
Refer = Callable[[Any], Reference | None]  # what is kept elsewhere, by its name there
Reduce = Callable[[Any], Any]  # as `reducer_override` answers: NotImplemented for most


def load_private_key(pem: bytes) -> Any:
    return load_pem_private_key(pem, password=None)


def kept_elsewhere(*reference: str) -> Any:
    """Stands in a snapshot before each reference; the unpickler puts its `resolve` in its place."""
    raise pickle.UnpicklingError(f"a reference where none may be: {reference}")


class _Pickler(pickle.Pickler):
    """References are reductions and not the `persistent_id` that pickle has for them: that hook is
    called for every number and text too, which made most of a snapshot's time."""

    def __init__(self, file: io.BytesIO, refer: Refer, reduce: Reduce) -> None:
        super().__init__(file, protocol=5)
        self._refer, self._reduce = refer, reduce

    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        if kind is datetime.datetime:  # the most frequent one
            return NotImplemented
        if isinstance(value, enum.Enum):  # Python 3.11.0 to 3.11.3 would call getattr for it
            return kind, (value.value,)
        if kind in _MADE_ANEW:
            return _MADE_ANEW[kind], ()
        reference = self._refer(value)
        if reference is not None:
            return kept_elsewhere, reference
        if isinstance(value, (type, FunctionType, BuiltinFunctionType)) and not _allowed(
            value.__module__, value.__qualname__
        ):
            raise pickle.PicklingError(f"may not keep a {value.__module__}.{value.__qualname__}")
        if isinstance(value, defaultdict):
            return _reduce_defaultdict(value)
        if hasattr(value, "private_bytes"):  # a key of KMS or a certificate; the folder is private
            pem = value.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            return load_private_key, (pem,)
        return self._reduce(value)


def _reduce_defaultdict(value: defaultdict[Any, Any]) -> Any:
    if "<lambda>" in getattr(value.default_factory, "__qualname__", ""):
        return dict, (dict(value),)  # `restore_attributes` gives it its factory back
    if type(value) is defaultdict:
        return NotImplemented
    slots = {"default_factory": value.default_factory}  # a class of moto with its own __init__
    made: Any = copyreg.__newobj__  # type: ignore[attr-defined]  # the stubs leave it out
    return made, (type(value),), (vars(value), slots), None, iter(value.items())


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, resolve: Callable[[Reference], Any] | None) -> None:
        super().__init__(file)
        self._resolve = resolve

    def persistent_load(self, reference: Any) -> Any:
        """A reference as older snapshots have it."""
        return self._resolve(reference) if self._resolve else kept_elsewhere(*reference)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (__name__, kept_elsewhere.__name__) and self._resolve:
            resolve = self._resolve
            return lambda *reference: resolve(reference)
        found = _found.get((module, name))
        if found is None and _allowed(module, name):
            found = super().find_class(module, name)
            if module not in _PLAIN and not getattr(found, "__module__", "").startswith(_OWN):
                found = None
        if found is None:
            raise pickle.UnpicklingError(f"a snapshot may not hold a {module}.{name}")
        _found[module, name] = found
        return found


_found: dict[tuple[str, str], Any] = {}


def _allowed(module: str, name: str) -> bool:
    if module in _PLAIN:
        return name in _PLAIN[module]
    return module.startswith(_OWN) and "." not in name


def restore_attributes(fresh: object, kept: dict[str, Any]) -> None:
    """Gives a newly made object the attributes that were kept of an older one."""
    for name, value in kept.items():
        default = vars(fresh).get(name)
        if isinstance(default, defaultdict) and type(value) is dict:
            default.update(value)
        else:
            setattr(fresh, name, value)


_ATTEMPTS = 50


def dumps(
    value: Any, refer: Refer | None = None, reduce: Reduce = lambda _: NotImplemented
) -> bytes:
    """The value as bytes. `refer` names what is kept elsewhere, or None for what is not; `reduce`
    says how to keep what cannot be kept as it is.

    Without `refer` the value has to be plain: that is ten times faster, for the many small records.
    moto locks nothing, so another request may add to a dictionary in the middle; then this starts
    over. That request writes its own change afterwards, so any whole state will do.
    """
    for attempt in range(_ATTEMPTS):
        try:
            if refer is None:
                return pickle.dumps(value, protocol=5)
            file = io.BytesIO()
            _Pickler(file, refer, reduce).dump(value)
            return file.getvalue()
        except RuntimeError as error:
            if "during iteration" not in str(error) or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def loads(data: bytes, resolve: Callable[[Reference], Any] | None = None) -> Any:
    """The value again. UnpicklingError for a class that a snapshot may not hold."""
    return _Unpickler(io.BytesIO(data), resolve).load()
