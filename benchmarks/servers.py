"""The servers that are compared, each with the same model archive. Ports are free ones.

`endpoint` is InvokeEndpoint of the deployed endpoint: signed requests, checked permissions, data
capture, and behind them the model server. `model_server` is that one alone, in the place that the
peers have: no AWS in front of it, a worker of one thread for each core. `torchserve` and `litserve`
start the peers with a worker of one thread for each core, no line in the log for a
request and no metrics of the machine; LitServe with as many API servers as workers, its default
(on two cores one worker, or one API server, was no faster).

The archive's program passes requests together that wait at the same time in one process, as they do
in our model server. The peers' workers take one request at a time; so each peer is measured with
its own batching too, with as many images in a batch and the shortest wait that its settings allow
for, and the faster of the two counts.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from benchmarks import peers
from benchmarks.deployed import Deployed
from benchmarks.load import Client, Target, request

HERE = Path(__file__).parent
WORKERS = os.cpu_count() or 1
API_SERVERS = WORKERS  # LitServe's processes in front of the workers; its default
BATCH = 8  # images at most, as in the archive's own passes
_BATCH_DELAY = 1  # milliseconds that a peer waits for a batch to fill
_START_SECONDS = 120.0
_PNG = {"Content-Type": "image/png"}
_QUIET = """<Configuration status="ERROR"><Appenders><Console name="out"/></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>"""


def endpoint(place: Deployed, images: Sequence[bytes]) -> Target:
    """Requests are signed beforehand; a signature lasts for some minutes."""
    port = urlsplit(place.url).port
    assert port is not None
    path = f"/endpoints/{place.resources().endpoint_name}/invocations"
    requests = []
    for image in images:
        signed = AWSRequest("POST", f"http://127.0.0.1:{port}{path}", data=image, headers=_PNG)
        SigV4Auth(place.session.get_credentials(), "sagemaker", place.session.region_name).add_auth(
            signed
        )
        headers = {**dict(signed.headers.items()), "Host": f"127.0.0.1:{port}"}
        requests.append(request(path, headers, image))
    return Target("endpoint", port, requests)


@contextlib.contextmanager
def model_server(archive: Path, folder: Path, images: Sequence[bytes]) -> Iterator[Target]:
    """Ours, as an instance of an endpoint runs it."""
    model, port = unpacked(archive, folder), _free_port()
    command = [sys.executable, "-P", "-m", "model_server", "--bind", f"127.0.0.1:{port}"]
    command += ["--model-dir", str(model)]
    variables = {
        "PYTHONPATH": str(HERE.parent / "localaws" / "hosting"),
        "SAGEMAKER_MODEL_SERVER_WORKERS": str(WORKERS),
    }
    requests = [request("/invocations", _PNG, image) for image in images]
    with _running("model server", command, Path(sys.executable), folder, variables) as process:
        target = _ready(Target("model server", port, requests, process.pid), process, folder)
        if target is None:
            raise SystemExit("the model server did not start")
        yield target


@contextlib.contextmanager
def torchserve(
    archive: Path, folder: Path, images: Sequence[bytes], batch: int = 1
) -> Iterator[Target | None]:
    """TorchServe; None where it or `java` is missing."""
    python = peers.python("torchserve") if shutil.which("java") else None
    if not shutil.which("java"):
        peers.missing("torchserve", "there is no `java` here (Debian: openjdk-17-jre-headless)")
    if python is None:
        yield None
        return
    folder.mkdir()
    shutil.copy(archive, folder / "model.tar.gz")
    handler = str(HERE / "torchserve_handler.py")
    pack = ["--model-name", "scones", "--version", "1", "--handler", handler]
    archiver = [str(python.with_name("torch-model-archiver")), *pack]
    packed = subprocess.run([*archiver, "--extra-files", "model.tar.gz"], cwd=folder)
    if packed.returncode != 0:
        peers.missing("torchserve", "its archiver fails")
        yield None
        return
    port = _free_port()
    (folder / "config.properties").write_text(_torchserve_settings(port, batch))
    (folder / "quiet.xml").write_text(_QUIET)
    command = [str(python.with_name("torchserve")), "--start", "--foreground", "--ncs"]
    command += ["--ts-config", "config.properties", "--log-config", "quiet.xml"]
    command += ["--model-store", ".", "--models", "scones=scones.mar"]
    requests = [request("/predictions/scones", _PNG, image) for image in images]
    with _running("torchserve", command, python, folder) as process:
        target = Target(_named("torchserve", batch), port, requests, process.pid)
        yield _ready(target, process, folder)


@contextlib.contextmanager
def alone(target: Target, others: Sequence[Target]) -> Iterator[None]:
    """Halts the others: a peer's idle workers look for work so often that it costs a fifth of two
    cores."""
    groups = [other.group for other in others if other.group and other is not target]
    for group in groups:
        os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        for group in groups:
            os.killpg(group, signal.SIGCONT)


def _named(name: str, batch: int) -> str:
    return name if batch == 1 else f"{name} x{batch}"


def _torchserve_settings(port: int, batch: int) -> str:
    model = {
        "defaultVersion": True,
        "marName": "scones.mar",
        "minWorkers": WORKERS,
        "maxWorkers": WORKERS,
        "batchSize": batch,
        "maxBatchDelay": _BATCH_DELAY,
        "responseTimeout": 120,
    }
    settings = {
        "models": json.dumps({"scones": {"1": model}}),
        "inference_address": f"http://127.0.0.1:{port}",
        **{f"{n}_address": f"http://127.0.0.1:{_free_port()}" for n in ("management", "metrics")},
        **{f"grpc_{n}_port": _free_port() for n in ("inference", "management")},
        "default_workers_per_model": WORKERS,
        "disable_token_authorization": "true",
        "disable_system_metrics": "true",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


@contextlib.contextmanager
def litserve(
    archive: Path, folder: Path, images: Sequence[bytes], batch: int = 1
) -> Iterator[Target | None]:
    """LitServe; None where it is missing."""
    python = peers.python("litserve")
    if python is None:
        yield None
        return
    model = unpacked(archive, folder)
    port = _free_port()
    program = str(HERE / "litserve_server.py")
    numbers = (port, WORKERS, API_SERVERS, batch, _BATCH_DELAY)
    command = [str(python), program, str(model), *map(str, numbers)]
    requests = [request("/predict", _PNG, image) for image in images]
    with _running("litserve", command, python, folder) as process:
        target = Target(_named("litserve", batch), port, requests, process.pid)
        yield _ready(target, process, folder)


def unpacked(archive: Path, folder: Path) -> Path:
    """The archive's contents, in a folder below this one."""
    (folder / "model").mkdir(parents=True)
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "model", filter="data")
    return folder / "model"


@contextlib.contextmanager
def _running(
    name: str,
    command: list[str],
    python: Path,
    folder: Path,
    variables: Mapping[str, str] | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """The server in a session of its own, because it leaves its workers behind when it is ended."""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(folder),  # where TorchServe notes that it runs; another one may
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        **(variables or {}),
    }
    with open(folder / f"{name}.log", "wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _ready(target: Target, process: "subprocess.Popen[bytes]", folder: Path) -> Target | None:
    """The target once it answers; None, and its last words, when it does not."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, RuntimeError):
            Client(target).ask(0)
            return target
        time.sleep(0.2)
    log = (folder / f"{target.name}.log").read_text(errors="replace")
    words = [line for line in log.splitlines() if line and not line[0].isspace()]  # no traces
    peers.missing(target.name, words[-1] if words else "it does not answer")
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
