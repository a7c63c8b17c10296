"""Loads the model, then serves it. Ends with a message and exit status 1 when it cannot be loaded.

The socket opens only after the model is loaded, so `/ping` fails until then, as on SageMaker.
SAGEMAKER_MODEL_SERVER_WORKERS says how many processes share the requests (default 1): each is a
copy of the first after the load, so weights are in memory once. When one ends, all end, and the
instance is started again.
"""

import argparse
import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

# Before the model's script imports torch: requests run beside each other, small networks gain
# nothing from more threads, and a copy of a process must not have lost any.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from .handlers import Model
from .http import listen

_AT_ONCE = 8  # requests in a process's handlers, so that a program may answer them together


def main() -> None:
    parser = argparse.ArgumentParser(prog="model_server", description=__doc__)
    parser.add_argument("--bind", required=True, help="a socket file, or HOST:PORT")
    parser.add_argument("--model-dir", type=Path, default=Path("/opt/ml/model"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    _install_requirements(options.model_dir)
    gc.disable()  # an import makes no garbage, and torch's is a tenth shorter for it
    model = Model.load(options.model_dir)
    gc.freeze()  # what is loaded stays, and stays shared with the copies
    gc.enable()
    workers = int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or 1)
    server = listen(options.bind, model, _AT_ONCE)
    print(f"model loaded; serving {model.program}", flush=True)
    if workers > 1:
        _copy(workers)
    server.serve_forever(poll_interval=60)


def _copy(workers: int) -> None:
    """Returns in each copy; in the first process, never."""
    copies = []
    for _ in range(workers):
        copy = os.fork()
        if copy == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            return
        copies.append(copy)

    def end(*_: object) -> None:
        for copy in copies:
            os.kill(copy, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    ended, status = os.wait()
    print(f"worker {ended} ended with status {os.waitstatus_to_exitcode(status)}", flush=True)
    copies.remove(ended)
    for copy in copies:
        os.kill(copy, signal.SIGKILL)
    os._exit(3)


def _install_requirements(folder: Path) -> None:
    requirements = folder / "code" / "requirements.txt"
    if requirements.is_file():
        subprocess.check_call([sys.executable, "-m", "pip", "install", "-r", str(requirements)])


if __name__ == "__main__":
    main()
