"""What SageMaker's built-in image-classification algorithm takes, as its guide has it.

Two callers share the table of hyperparameters: `pipelines.settings` looks at a configuration before
a GPU is paid for, and the stand-in of `localaws` at what a training job was given. The algorithm
checks by a JSON schema whose word for a property is hyperparameter: users report "Additional
hyperparameters are not allowed ('…' was unexpected)". The other sentences are a JSON schema's too.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/IC-Hyperparameter.html
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Shape = tuple[int, int, int]

DEPTHS_OF_LARGE_IMAGES = (18, 34, 50, 101, 152, 200)  # such as 224 × 224, and of pretrained nets
DEPTHS_OF_SMALL_IMAGES = (20, 32, 44, 56, 110)  # such as 28 × 28

# Where the algorithm trains. It serves on CPUs as well.
# https://docs.aws.amazon.com/sagemaker/latest/dg/image-classification.html#IC-instances
TRAINS_ON = re.compile(r"ml\.(p2|p3|g4dn|g5)\..+")


class HyperparameterError(ValueError):
    """Hyperparameters that the algorithm refuses, in its own words."""


@dataclass(frozen=True)
class _Hyperparameter:
    read: Callable[[str], Any]
    default: Any = None
    required: bool = False


def _whole(low: int = 1) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d+", text):
            raise HyperparameterError(f"{text!r} is not of type 'integer'")
        if int(text) < low:
            raise HyperparameterError(f"{text} is less than the minimum of {low}")
        return int(text)

    return read


def _share(text: str) -> float:
    """A number in [0, 1]."""
    try:
        value = float(text)
    except ValueError:
        raise HyperparameterError(f"{text!r} is not of type 'number'") from None
    if math.isnan(value):
        raise HyperparameterError(f"{text!r} is not of type 'number'")
    if value < 0:
        raise HyperparameterError(f"{text} is less than the minimum of 0")
    if value > 1:
        raise HyperparameterError(f"{text} is greater than the maximum of 1")
    return value


def _one_of(*choices: Any) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        for choice in choices:
            if text == str(choice):
                return choice
        raise HyperparameterError(f"{text!r} is not one of {list(choices)}")

    return read


def _shape(text: str) -> Shape:
    """`channels, height, width`."""
    match = re.fullmatch(r"\s*([1-9]\d*)\s*,\s*([1-9]\d*)\s*,\s*([1-9]\d*)\s*", text)
    if match is None:
        raise HyperparameterError(f"{text!r} does not match 'num_channels, height, width'")
    return int(match[1]), int(match[2]), int(match[3])


def _epochs(text: str) -> tuple[int, ...]:
    """Epochs, delimited by commas."""
    if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", text):
        raise HyperparameterError(f"{text!r} does not match 'epoch, epoch, …'")
    return tuple(int(part) for part in text.split(","))


_flag = _one_of(0, 1)
_truth = _one_of(True, False)

HYPERPARAMETERS: dict[str, _Hyperparameter] = {
    "num_classes": _Hyperparameter(_whole(), required=True),
    "num_training_samples": _Hyperparameter(_whole(), required=True),
    "augmentation_type": _Hyperparameter(_one_of("crop", "crop_color", "crop_color_transform")),
    "beta_1": _Hyperparameter(_share, 0.9),
    "beta_2": _Hyperparameter(_share, 0.999),
    "checkpoint_frequency": _Hyperparameter(_whole()),
    "early_stopping": _Hyperparameter(_truth, False),
    "early_stopping_min_epochs": _Hyperparameter(_whole(), 10),
    "early_stopping_patience": _Hyperparameter(_whole(), 5),
    "early_stopping_tolerance": _Hyperparameter(_share, 0.0),
    "epochs": _Hyperparameter(_whole(), 30),
    "eps": _Hyperparameter(_share, 1e-8),
    "gamma": _Hyperparameter(_share, 0.9),
    "image_shape": _Hyperparameter(_shape, (3, 224, 224)),
    "kv_store": _Hyperparameter(_one_of("dist_sync", "dist_async")),
    "learning_rate": _Hyperparameter(_share, 0.1),
    "lr_scheduler_factor": _Hyperparameter(_share, 0.1),
    "lr_scheduler_step": _Hyperparameter(_epochs, ()),
    "mini_batch_size": _Hyperparameter(_whole(), 32),
    "momentum": _Hyperparameter(_share, 0.9),
    "multi_label": _Hyperparameter(_flag, 0),
    "num_layers": _Hyperparameter(_one_of(*DEPTHS_OF_LARGE_IMAGES, *DEPTHS_OF_SMALL_IMAGES), 152),
    "optimizer": _Hyperparameter(_one_of("sgd", "adam", "rmsprop", "nag"), "sgd"),
    "precision_dtype": _Hyperparameter(_one_of("float32", "float16"), "float32"),
    "resize": _Hyperparameter(_whole()),
    "top_k": _Hyperparameter(_whole(2)),
    "use_pretrained_model": _Hyperparameter(_flag, 0),
    "use_weighted_loss": _Hyperparameter(_flag, 0),
    "weight_decay": _Hyperparameter(_share, 0.0001),
}


def read(given: Mapping[str, str]) -> dict[str, Any]:
    """Every hyperparameter as the algorithm will use it; None where one has no default.

    Raises HyperparameterError at the first that it refuses.
    """
    unknown = [name for name in given if name not in HYPERPARAMETERS]
    if unknown:
        listed = ", ".join(repr(name) for name in unknown)
        verb = "was" if len(unknown) == 1 else "were"
        raise HyperparameterError(
            f"Additional hyperparameters are not allowed ({listed} {verb} unexpected)"
        )
    values: dict[str, Any] = {}
    for name, kind in HYPERPARAMETERS.items():
        if name not in given:
            if kind.required:
                raise HyperparameterError(f"{name!r} is a required hyperparameter")
            values[name] = kind.default
            continue
        try:
            values[name] = kind.read(given[name])
        except HyperparameterError as problem:
            raise HyperparameterError(f"{name}: {problem}") from None
    _check_together(values)
    return values


def _check_together(values: Mapping[str, Any]) -> None:
    """What the guide says of two hyperparameters at once."""
    if (values["checkpoint_frequency"] or 0) > values["epochs"]:
        raise HyperparameterError(
            f"checkpoint_frequency: {values['checkpoint_frequency']} is greater than epochs, "
            f"{values['epochs']}"
        )
    if values["use_pretrained_model"] and values["num_layers"] not in DEPTHS_OF_LARGE_IMAGES:
        raise HyperparameterError(
            f"num_layers: {values['num_layers']} is not one of {list(DEPTHS_OF_LARGE_IMAGES)}, "
            "which use_pretrained_model needs"
        )
