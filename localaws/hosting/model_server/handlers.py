"""The handlers of a model archive: those of its script, and the PyTorch inference image's defaults.

    model_fn(model_dir)              default: a TorchScript model, the only .pt or .pth file
    input_fn(body, content_type)     default: JSON, CSV or NPY as a tensor
    predict_fn(data, model)          default: `model(data)` without gradients
    output_fn(prediction, accept)    default: JSON, CSV or NPY
    transform_fn(model, body, content_type, accept)   instead of the last three

Each may take one argument more, the context, which is None here. `output_fn` answers the body, or
the body and its content type. What `input_fn` (or `transform_fn`) refuses with a ValueError is the
caller's mistake, a 400; the image itself answers 500 to everything but an unsupported type.

Sources: https://sagemaker.readthedocs.io/en/stable/frameworks/pytorch/using_pytorch.html and
https://github.com/aws/sagemaker-inference-toolkit (transformer.py, decoder.py, encoder.py).
"""

import importlib.util
import inspect
import io
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"
Handler = Callable[..., Any]


class Answer(NamedTuple):
    """What `/invocations` answers: HTTP status, body and content type."""

    status: int
    body: bytes
    content_type: str


class Unsupported(Exception):
    """A content type that the default handlers do not know; `status` is 415 or 406."""

    def __init__(self, status: int, content_type: str) -> None:
        super().__init__(f"Content type {content_type} is not supported by this framework.")
        self.status = status


class Model:
    """A loaded model. `invoke` may run in several threads at once."""

    def __init__(self, module: ModuleType | None, folder: Path, program: str) -> None:
        self.program = program
        self._accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", JSON)
        self._input = _handler(module, "input_fn", 2) or decode
        self._predict = _handler(module, "predict_fn", 2) or predict
        self._output = _handler(module, "output_fn", 2) or encode
        self._transform = _handler(module, "transform_fn", 4)
        load = _handler(module, "model_fn", 1) or load_script
        self._model = load(str(folder))

    @classmethod
    def load(cls, folder: Path) -> "Model":
        """Imports the script that SAGEMAKER_PROGRAM names (default: inference.py) and loads."""
        code = Path(os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", str(folder / "code")))
        program = os.environ.get("SAGEMAKER_PROGRAM", "inference.py")
        path = code / program
        if not path.is_file() and "SAGEMAKER_PROGRAM" in os.environ:
            raise FileNotFoundError(f"SAGEMAKER_PROGRAM names {program}, which is not in {code}")
        if code.is_dir():
            sys.path.insert(0, str(code))
        module = _import(path) if path.is_file() else None
        return cls(module, folder, str(path) if module else "the default handlers")

    def invoke(self, body: bytes, content_type: str | None, accept: str | None) -> Answer:
        """Input, prediction, output. Never raises: an error is an answer, and a line in the log."""
        kind = content_type or JSON
        wanted = accept if accept and accept != "*/*" else self._accept
        try:
            result = self._run(_text(body, kind), kind, wanted)
            return _answer(result, wanted)
        except _CallersMistake as mistake:
            return Answer(mistake.status, str(mistake).encode(), "text/plain; charset=utf-8")
        except Exception as error:  # a handler may raise anything; the model goes on serving
            trace = traceback.format_exc()
            print(trace, file=sys.stderr, flush=True)
            return Answer(500, f"{error}\n{trace}".encode(), "text/plain; charset=utf-8")

    def _run(self, body: bytes | str, content_type: str, accept: str) -> Any:
        if self._transform is not None:
            transform = self._transform
            return _blaming_caller(lambda: transform(self._model, body, content_type, accept))
        data = _blaming_caller(lambda: self._input(body, content_type))
        prediction = self._predict(data, self._model)
        try:
            return self._output(prediction, accept)
        except Unsupported as error:
            raise _CallersMistake(error.status, error) from error


class _CallersMistake(Exception):
    def __init__(self, status: int, error: Exception) -> None:
        super().__init__(str(error) or type(error).__name__)
        self.status = status


def _blaming_caller(step: Callable[[], Any]) -> Any:
    try:
        return step()
    except Unsupported as error:
        raise _CallersMistake(error.status, error) from error
    except ValueError as error:
        raise _CallersMistake(400, error) from error


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _handler(module: ModuleType | None, name: str, arguments: int) -> Handler | None:
    found: Handler | None = getattr(module, name, None)
    if found is None:
        return None
    handler = found
    places = [
        p
        for p in inspect.signature(handler).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(places) == arguments + 1:
        return lambda *values: handler(*values, None)
    return handler


def _text(body: bytes, content_type: str) -> bytes | str:
    """JSON and CSV reach a handler as text, as the image's toolkit decodes them."""
    if content_type.partition(";")[0].strip().lower() not in (JSON, CSV):
        return body
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _CallersMistake(400, error) from error


def _answer(result: Any, accept: str) -> Answer:
    content_type = accept
    if isinstance(result, tuple) and len(result) == 2:
        result, content_type = result
    if isinstance(result, str):
        result = result.encode()
    if not isinstance(result, bytes | bytearray):
        raise TypeError(f"output_fn must answer str or bytes, not {type(result).__name__}")
    return Answer(200, bytes(result), content_type)


# The defaults of the PyTorch inference image


def load_script(model_dir: str) -> Any:
    """The TorchScript model in the folder. FileNotFoundError unless there is just one."""
    import torch

    found = [path for path in sorted(Path(model_dir).iterdir()) if path.suffix in (".pt", ".pth")]
    if len(found) != 1:
        raise FileNotFoundError(
            "without a model_fn the archive must hold one .pt or .pth file (TorchScript); it holds"
            f" {len(found)}"
        )
    return torch.jit.load(str(found[0]), map_location="cpu")  # type: ignore[no-untyped-call]  # torch's own


def decode(body: bytes | str, content_type: str) -> Any:
    """JSON, CSV or NPY as a float tensor. Unsupported (415) for anything else."""
    import numpy
    import torch

    kind = content_type.partition(";")[0].strip().lower()
    if kind == JSON:
        array = numpy.array(json.loads(body))
    elif kind == CSV:
        text = body if isinstance(body, str) else body.decode()
        array = numpy.genfromtxt(io.StringIO(text), delimiter=",")
    elif kind == NPY and isinstance(body, bytes):
        array = numpy.load(io.BytesIO(body), allow_pickle=False)
    else:
        raise Unsupported(415, content_type)
    return torch.as_tensor(array, dtype=torch.float32)


def predict(data: Any, model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model.eval()(data)


def encode(prediction: Any, accept: str) -> str | bytes:
    """A tensor, an array or a list as JSON, CSV or NPY. Unsupported (406) for anything else."""
    kind = accept.partition(";")[0].strip().lower()
    if hasattr(prediction, "detach"):
        prediction = prediction.detach().cpu().numpy()
    if kind == JSON:
        return json.dumps(prediction.tolist() if hasattr(prediction, "tolist") else prediction)
    if kind not in (CSV, NPY):
        raise Unsupported(406, accept)
    import numpy

    if kind == NPY:
        packed = io.BytesIO()
        numpy.save(packed, numpy.asarray(prediction), allow_pickle=False)
        return packed.getvalue()
    lines = io.StringIO()
    numpy.savetxt(lines, numpy.atleast_1d(numpy.asarray(prediction)), delimiter=",", fmt="%s")
    return lines.getvalue()
