"""The parameters of a pipeline, and the values that an execution gives them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "String": (str,),
    "Integer": (int,),
    "Float": (int, float),
    "Boolean": (bool,),
}


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


_READERS: dict[str, Callable[[str], Any]] = {
    "String": str,
    "Integer": int,
    "Float": float,
    "Boolean": _boolean,
}


@dataclass(frozen=True)
class Parameter:
    """One parameter. `default` is None when an execution must give a value."""

    name: str
    type: str
    default: Any = None
    enum: tuple[Any, ...] = ()

    @classmethod
    def read(cls, item: Any) -> "Parameter":
        """A parameter of a definition. Raises ValueError with a sentence."""
        if not isinstance(item, dict) or not isinstance(item.get("Name"), str):
            raise ValueError("Each parameter needs a Name and a Type")
        name, kind, default = item["Name"], item.get("Type"), item.get("DefaultValue")
        enum = tuple(item.get("EnumValues") or ())
        if kind not in PYTHON_TYPES:
            known = ", ".join(PYTHON_TYPES)
            raise ValueError(f"Parameter '{name}' has Type {kind!r}; it must be one of {known}")
        if default is not None and not _is_of(kind, default):
            raise ValueError(
                f"The DefaultValue of parameter '{name}' is {default!r}, which is no {kind}"
            )
        if default is not None and enum and default not in enum:
            raise ValueError(f"The DefaultValue of parameter '{name}' is not one of its EnumValues")
        return cls(name, kind, default, enum)

    def value(self, text: str) -> Any:
        """The typed value of a text. Raises ValueError as the service words it."""
        if text == "":
            raise ValueError(
                f"Parameter '{self.name}': "
                '[string "" is too short (length: 0, required minimum: 1)].'
            )
        try:
            value = _READERS[self.type](text)
        except ValueError:
            raise ValueError(
                f"Unexpected type for parameter '{self.name}'. Expected {self.type} but found "
                f"{text!r}."
            ) from None
        if self.enum and value not in self.enum:
            raise ValueError(
                f"Parameter '{self.name}' has value {text!r}, which is not in its enum "
                f"{json.dumps(list(self.enum))}."
            )
        return value


def _is_of(kind: str, value: Any) -> bool:
    # In Python a boolean is an int; in a definition it is not.
    return isinstance(value, PYTHON_TYPES[kind]) and isinstance(value, bool) == (kind == "Boolean")


def values(parameters: dict[str, Parameter], given: list[dict[str, str]]) -> dict[str, Any]:
    """The typed value of every parameter: the given one, else the default.

    `given` is StartPipelineExecution's list of Name and Value, each value a text. Raises
    ValueError for a name that is unknown or given twice, a text of the wrong type or
    outside the enum, and a parameter left without a value.
    """
    found: dict[str, Any] = {}
    for item in given:
        name = item["Name"]
        if name not in parameters:
            known = ", ".join(sorted(parameters)) or "none"
            raise ValueError(f"Unknown parameter '{name}'; the pipeline has {known}.")
        if name in found:
            raise ValueError(f"Parameter '{name}' is given twice.")
        found[name] = parameters[name].value(item["Value"])
    for name, parameter in parameters.items():
        if name not in found and parameter.default is None:
            raise ValueError(f"Parameter '{name}' is undefined: it has no default value.")
        found.setdefault(name, parameter.default)
    return found
