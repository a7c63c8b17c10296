"""What a framework's training image runs when a request gives no entrypoint: script mode.

The images carry the SageMaker training toolkit. Hyperparameters name the user's program
(`sagemaker_program`) and where it lies (`sagemaker_submit_directory`: a folder, a tar.gz, or a
tar.gz in S3). It is copied to /opt/ml/code and run there, with the other hyperparameters as its
arguments, sorted, and `SM_…` variables that say where everything is. Tuning jobs start their
trials so, since their definition has no place for an entrypoint.

This file runs inside the job, on its own, and becomes the program. Source:
https://github.com/aws/sagemaker-training-toolkit (environment.py, files.py, process.py).
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

PROGRAM, FOLDER = "sagemaker_program", "sagemaker_submit_directory"
COMMAND = ["python3", os.path.abspath(__file__)]

_ML = Path("/opt/ml")
_CODE = _ML / "code"
_OWN = ("sagemaker_", "_tuning_objective_metric")  # for the toolkit, not for the program


def main() -> None:
    """Becomes the user's program. Ends with one sentence when there is none."""
    given = {name: _decoded(text) for name, text in _config("hyperparameters").items()}
    hyperparameters = {name: v for name, v in given.items() if not name.startswith(_OWN)}
    program = str(given[PROGRAM])
    _fetch(str(given.get(FOLDER, _CODE)))
    if not (_CODE / program).is_file():
        sys.exit(f"{PROGRAM} {program!r} is not in {given.get(FOLDER, _CODE)}")
    os.chdir(_CODE)
    if Path("requirements.txt").is_file():
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-r", "requirements.txt"], check=True
        )
    arguments = [word for name in sorted(hyperparameters) for word in _option(name, given[name])]
    os.environ.update(_variables(hyperparameters, program, arguments))
    os.execv(sys.executable, [sys.executable, program, *arguments])


def _config(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_ML / f"input/config/{name}.json").read_text())
    return found


def _decoded(text: str) -> Any:
    """A hyperparameter's value: JSON where it is JSON, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _option(name: str, value: Any) -> tuple[str, str]:
    return (f"--{name}" if len(name) > 1 else f"-{name}", str(value))


def _fetch(source: str) -> None:
    """Puts the program's folder at /opt/ml/code."""
    if os.path.isdir(source):
        if Path(source) != _CODE:
            shutil.copytree(source, _CODE, dirs_exist_ok=True)
        return
    _CODE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if source.startswith("s3://"):
            import boto3  # only here: an isolated job has its code in a channel

            bucket, _, key = source.removeprefix("s3://").partition("/")
            source = f"{folder}/source"
            boto3.client("s3").download_file(bucket, key, source)
        with tarfile.open(source) as archive:
            for member in archive:
                inside = f"{os.path.abspath(_CODE / member.name)}/".startswith(f"{_CODE}/")
                if not inside or not (member.isfile() or member.isdir()):
                    sys.exit(f"{FOLDER}: the member {member.name!r} is no plain file below it")
            archive.extractall(_CODE)


def _variables(
    hyperparameters: dict[str, Any], program: str, arguments: list[str]
) -> dict[str, str]:
    resources, channels = _config("resourceconfig"), sorted(_config("inputdataconfig"))
    values: dict[str, Any] = {
        "MODEL_DIR": str(_ML / "model"),
        "INPUT_DIR": str(_ML / "input"),
        "INPUT_CONFIG_DIR": str(_ML / "input/config"),
        "OUTPUT_DIR": str(_ML / "output"),
        "OUTPUT_DATA_DIR": str(_ML / "output/data"),
        "CHANNELS": channels,
        "HPS": hyperparameters,
        "HOSTS": resources["hosts"],
        "CURRENT_HOST": resources["current_host"],
        "CURRENT_INSTANCE_TYPE": resources["current_instance_type"],
        "NETWORK_INTERFACE_NAME": resources["network_interface_name"],
        "NUM_CPUS": os.cpu_count(),
        "NUM_GPUS": len([name for name in os.listdir("/dev") if name.startswith("nvidia")][:1]),
        "USER_ENTRY_POINT": program,
        "USER_ARGS": arguments,
        **{f"CHANNEL_{name.upper()}": str(_ML / "input/data" / name) for name in channels},
        **{f"HP_{name.upper()}": value for name, value in hyperparameters.items()},
    }
    before = os.environ.get("PYTHONPATH")
    return {
        "PYTHONPATH": os.pathsep.join([str(_CODE), *([before] if before else [])]),
        **{
            f"SM_{name}": value if isinstance(value, str) else json.dumps(value)
            for name, value in values.items()
        },
    }


if __name__ == "__main__":
    main()
