"""The private root of a job: what it has for itself, and what it cannot reach."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from localaws.jobs import sandbox
from tests.unit.job_kit import Machine, eventually, processing_request


def test_two_jobs_at_once_do_not_see_each_other(machine: Machine) -> None:
    script = """
    import os, pathlib, time
    mine = pathlib.Path("/opt/ml/output/{name}")
    mine.write_text("x")
    pathlib.Path("/tmp/{name}").write_text("x")
    pathlib.Path("/dev/shm/{name}").write_text("x")
    print("wrote", flush=True)
    while not pathlib.Path("/opt/ml/go").exists():
        time.sleep(0.02)
    processes = [p for p in os.listdir("/proc") if p.isdigit()]
    print(os.listdir("/opt/ml/output"), os.listdir("/dev/shm"), len(processes))
    print([name for name in os.listdir("/tmp") if name in ("one", "two")])
    """
    for name in ("one", "two"):
        request = processing_request(name, script.format(name=name))
        machine.processing.create_processing_job(request)
    eventually(
        lambda: all("wrote" in machine.logs.text(name) for name in ("one", "two")), "both wrote"
    )
    for name in ("one", "two"):
        (machine.home / "jobs" / "processing-job" / name / "ml" / "go").touch()
    for name in ("one", "two"):
        machine.processing.wait(name, 30)
        # Two processes: the job's init and the program itself.
        expected = f"wrote\n['{name}'] ['{name}'] 2\n['{name}']"
        assert machine.logs.text(name) == expected


def test_a_job_cannot_write_to_the_machine(machine: Machine) -> None:
    name = f"written-by-a-job-{os.getpid()}"
    home = Path.home() / name
    machine.process(
        "writes",
        f"""
        for path in ("/var/tmp/{name}", {str(home)!r}, "/opt/{name}"):
            try:
                open(path, "w").close()
                print("wrote")
            except OSError as error:
                print(error.strerror)
        """,
    )
    *refused, below_opt = machine.logs.text("writes").splitlines()
    # A home below /tmp is not even there: each job has a /tmp of its own.
    assert set(refused) <= {"Read-only file system", "No such file or directory"}
    assert (len(refused), below_opt) == (2, "wrote")
    assert not home.exists()
    assert not Path("/opt", name).exists()


def test_a_job_finds_the_servers_state_empty() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # /tmp would be hidden anyway
        machine = Machine(Path(folder) / "machine")
        machine.process("curious", f"import os; print(os.listdir({str(machine.home)!r}))")
        assert (machine.home / "records.sqlite").exists()
        assert machine.logs.text("curious") == "[]"
        machine.close()


def test_the_umask_is_that_of_a_container(machine: Machine) -> None:
    before = os.umask(0o077)
    try:
        machine.process("umask", "import os; print(oct(os.umask(0)), oct(os.stat('/').st_mode))")
    finally:
        os.umask(before)
    assert machine.logs.text("umask") == "0o22 0o40755"


CONNECT = """
import socket
own = socket.create_server(("127.0.0.1", 0))
socket.create_connection(own.getsockname(), timeout=2).close()
print("own loopback works")
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=2).close()
    print("reached the machine")
except OSError as error:
    print("refused")
try:
    socket.create_connection(("192.0.2.1", 80), timeout=2)
except OSError as error:
    print(error.strerror)
"""


def test_an_isolated_job_has_no_network_but_its_own_loopback(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        script = CONNECT.format(port=listening.getsockname()[1])
        machine.process("isolated", script, NetworkConfig={"EnableNetworkIsolation": True})
    said = machine.logs.text("isolated").splitlines()
    assert said == ["own loopback works", "refused", "Network is unreachable"]


def test_a_job_that_is_not_isolated_reaches_the_machines_loopback(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        machine.process(
            "open",
            f"import socket; socket.create_connection(('127.0.0.1', {port})); print('reached')",
        )
    assert machine.logs.text("open") == "reached"


def test_the_host_is_called_algo_1_and_resolves(machine: Machine) -> None:
    machine.process("host", "import socket; print(socket.gethostbyname(socket.gethostname()))")
    assert machine.logs.text("host") == "127.0.0.1"


def test_nothing_is_made_on_the_machine(machine: Machine) -> None:
    before = sorted(os.listdir("/opt"))
    machine.process("clean", "pass")
    assert sorted(os.listdir("/opt")) == before
    mounts = Path("/proc/self/mounts").read_text()
    assert str(machine.home) not in mounts


def test_a_job_has_no_say_over_the_machine(machine: Machine) -> None:
    machine.process(
        "modest",
        """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        print(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None), os.strerror(ctypes.get_errno()))
        print(libc.sethostname(b"x", 1), os.strerror(ctypes.get_errno()))
        """,
    )
    refused = "-1 Operation not permitted"
    assert machine.logs.text("modest").splitlines() == [refused, refused]


def test_the_check_is_quick_and_a_refusal_names_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    began = time.monotonic()
    sandbox.check()
    assert time.monotonic() - began < 1  # 0.09 s on an idle machine
    # A root that is no folder stands for a kernel that refuses; the launcher gives up the same way.
    plan = sandbox.Plan(root=tmp_path / "missing", private=())
    with (
        open(os.devnull, "wb") as nowhere,
        pytest.raises(sandbox.NamespacesUnavailable, match="WSL 2 or the dev container"),
    ):
        sandbox.start(plan, ["true"], {}, nowhere.fileno())


ORDINARY = """
import importlib.util, sys, tempfile
from pathlib import Path
spec = importlib.util.spec_from_file_location("sandbox", sys.argv[1] + "/sandbox.py")
sandbox = importlib.util.module_from_spec(spec)
sys.modules["sandbox"] = sandbox
spec.loader.exec_module(sandbox)
sandbox.check()
with tempfile.TemporaryDirectory() as folder:
    for name in ("root", "ml"):
        Path(folder, name).mkdir()
    plan = sandbox.Plan(root=Path(folder, "root"), private=((Path(folder, "ml"), "/opt/ml"),))
    command = ["/bin/sh", "-c", "id -u > /opt/ml/user"]
    process = sandbox.start(plan, command, {"PATH": "/usr/bin:/bin"}, 1)
    print(process.wait(), Path(folder, "ml", "user").read_text())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests are this one for an ordinary user")
def test_an_ordinary_user_can_run_jobs_too(tmp_path: Path) -> None:
    python = "/usr/bin/python3"
    if not os.path.exists(python):
        pytest.skip("needs a Python that every user may run")
    # The project may lie where only root looks.
    with_launcher = Path("/var/tmp") / f"scones-test-{os.getpid()}"
    shutil.copytree(Path(sandbox.__file__).parent, with_launcher)
    try:
        result = subprocess.run(
            [python, "-c", ORDINARY, str(with_launcher)],
            user=65534,
            group=65534,
            extra_groups=[],
            capture_output=True,
            text=True,
            cwd="/",
            env={},
        )
    finally:
        shutil.rmtree(with_launcher)
    assert result.stdout.split() == ["0", "65534"], result.stderr
    assert sys.version_info >= (3, 11)
