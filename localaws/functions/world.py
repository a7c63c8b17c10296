"""The world of a function's process: the runtime's packages, its folders and its environment.

Laid out as on AWS, so that the very same paths work: the interpreter in `/var/lang`, the runtime's
packages (boto3 and `awslambdaric`, nothing else of this project) in `/var/runtime`, the code in
`/var/task`, the layers in `/opt`. What a function needs beyond boto3, its zip or a layer brings.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localaws.context import Context
from localaws.functions.code import CodeStore
from localaws.jobs import python_environment, sandbox
from localaws.jobs.logs import LogSink

Credentials = Callable[[str, str, str], dict[str, Any]]

_RUNTIME_PACKAGES = [
    "awslambdaric",
    "boto3",
    "botocore",
    "dateutil",
    "jmespath",
    "runtime_client",
    "s3transfer",
    "simplejson",
    "six",
    "snapshot_restore_py",
    "urllib3",
]
_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
PYTHON = f"/var/lang/bin/{_VERSION}"


@dataclass(frozen=True)
class World:
    """What all functions share. `assume(role, session, service)` gives a role's credentials."""

    context: Context
    code: CodeStore
    assume: Credentials
    logs: LogSink

    @property
    def folder(self) -> Path:
        return self.context.home / "functions"

    def prepare(self) -> None:
        """Lays out what every process mounts, anew at each start of the server."""
        shutil.rmtree(self.folder / "instances", ignore_errors=True)
        for name in ("lang", "runtime"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        programs = self.folder / "lang" / "bin"
        programs.mkdir(parents=True)
        base = os.path.realpath(str(getattr(sys, "_base_executable", sys.executable)))
        for name in ("python", "python3", _VERSION):
            (programs / name).symlink_to(base)
        (self.folder / "lang" / "pyvenv.cfg").write_text(
            f"home = {os.path.dirname(base)}\ninclude-system-site-packages = false\n"
        )
        runtime = self.folder / "runtime"
        runtime.mkdir()
        for name in _RUNTIME_PACKAGES:
            spec = importlib.util.find_spec(name)
            if spec is not None and spec.origin:
                origin = Path(spec.origin)
                found = origin.parent if origin.name == "__init__.py" else origin
                (runtime / found.name).symlink_to(found)

    def plan(self, settings: dict[str, Any], folder: Path) -> sandbox.Plan:
        """The sandbox of one process, with `folder` for its root, its `/tmp` and its layers."""
        for name in ("root", "tmp"):
            (folder / name).mkdir(parents=True)
        fixed = [
            (self.code.content(settings["_digest"]), "/var/task"),
            (self.folder / "runtime", "/var/runtime"),
            (self.folder / "lang", "/var/lang"),
            *((path, f"/opt/{path.name}") for path in self._layers(settings, folder / "layers")),
        ]
        return sandbox.Plan(
            root=folder / "root",
            private=(*fixed, (folder / "tmp", "/tmp")),
            read_only=tuple(target for _, target in fixed),
            visible=python_environment.visible_paths(),
            hidden=(str(self.context.home.resolve()),),
            hostname="localaws-function",
            directory="/var/task",
        )

    def _layers(self, settings: dict[str, Any], folder: Path) -> list[Path]:
        """The entries of `/opt`: the layers' files, the later layer over the earlier."""
        digests = settings.get("_layers") or []
        if len(digests) == 1:
            folder = self.code.content(digests[0])
        else:
            for digest in digests:
                shutil.copytree(self.code.content(digest), folder, dirs_exist_ok=True)
        return sorted(path for path in folder.iterdir() if path.is_dir()) if digests else []

    def environment(
        self, settings: dict[str, Any], log_stream: str, runtime_api: str
    ) -> dict[str, str]:
        """The whole environment of a process; the function's own variables win."""
        name, region = settings["FunctionName"], self.context.region
        keys = self.assume(settings["Role"], name, "lambda.amazonaws.com")
        logging = settings["LoggingConfig"]
        level = {"AWS_LAMBDA_LOG_LEVEL": logging.get("ApplicationLogLevel", "INFO")}
        packages = f"/opt/python/lib/{_VERSION}/site-packages"
        return {
            "_HANDLER": settings["Handler"],
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{settings['Runtime']}",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings["MemorySize"]),
            "AWS_LAMBDA_FUNCTION_VERSION": settings["Version"],
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": logging["LogGroup"],
            "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
            "AWS_LAMBDA_LOG_FORMAT": logging["LogFormat"].upper(),
            **(level if logging["LogFormat"] == "JSON" else {}),
            "AWS_LAMBDA_RUNTIME_API": runtime_api,
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["SessionToken"],
            "AWS_ENDPOINT_URL": self.context.endpoint_url,
            "LAMBDA_TASK_ROOT": "/var/task",
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "HOME": "/tmp",
            "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
            "LD_LIBRARY_PATH": "/var/task:/var/task/lib:/opt/lib",
            "PYTHONPATH": f"{packages}:/opt/python:/var/runtime",
            "PYTHONDONTWRITEBYTECODE": "1",
            **((settings.get("Environment") or {}).get("Variables") or {}),
        }
