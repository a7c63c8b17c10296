"""The small program that stands between the server and a job: it builds the job's world and enters.

It runs on its own (`python -I -S launch.py`), imports nothing of ours, and reads one JSON object
from its standard input (the `Plan` of `localaws.jobs.sandbox`). Three processes come of it:

    outer    stays in the server's namespaces; passes SIGTERM on and hands the exit status back
    init     process 1 of the job: builds the root, starts the program, reaps what it leaves behind
    program  what the job asked for

Each dies with the one above it, and when init dies the kernel kills everything that the job ever
started, so a `kill -9` of the server leaves nothing running.

The root is a tmpfs in which every entry of the machine's root appears read-only, except that the
job has an `/opt/ml`, a `/tmp` and a `/dev/shm` of its own. Nothing is created on the machine, and a
job cannot write to the machine outside of its folder.
"""

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from typing import Any, NoReturn

Plan = dict[str, Any]

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1

# What a job of a server that runs as root may still do as root: chown, ignore and set file modes,
# kill its own, change its user, open a low port. (Docker's default set without the exotic ones.)
KEPT_CAPABILITIES = {0, 1, 3, 4, 5, 6, 7, 10}

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Raises OSError, naming `what`, when a C call failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(
    source: str | None,
    target: str,
    kind: str | None = None,
    flags: int = 0,
    options: str | None = None,
) -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
    data = None if options is None else options.encode()
    check(libc.mount(*words, ctypes.c_ulong(flags), data), f"mount {target}")


def make_read_only(target: str) -> None:
    """Makes a mount and all below it read-only (Linux 5.12; an older kernel leaves it as it is)."""
    attributes = struct.pack("QQQQ", MS_RDONLY, 0, 0, 0)
    libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, os.fsencode(target), AT_RECURSIVE, attributes, 32)


def die_with_parent() -> None:
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def parent_of_this_process() -> int:
    """As the machine's /proc numbers it; `os.getppid` is 0 across the border of a namespace."""
    with open("/proc/self/stat") as status:
        return int(status.read().rpartition(")")[2].split()[1])


def enter_namespaces(isolated: bool) -> None:
    """Own mounts, processes, IPC and host name; own network when isolated.

    Root needs no user namespace, and without one a job can unpack archives that name other users.
    Anybody else gets one in which they are themselves.
    """
    flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS
    user, group = os.geteuid(), os.getegid()
    if user != 0:
        flags |= CLONE_NEWUSER
    if isolated:
        flags |= CLONE_NEWNET
    check(libc.unshare(flags), "unshare")
    if user != 0:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)


def raise_loopback() -> None:
    """127.0.0.1 works inside an isolated job; it is the only network there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", IFF_UP, b""))


def show(source: str, target: str) -> None:
    """Makes an entry of the machine appear, read-only, at `target` in the new root."""
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
    mount(source, target, flags=MS_BIND | MS_REC)
    make_read_only(target)


def show_around(folder: str, root: str, taken: set[str]) -> None:
    """Shows a folder entry by entry, so that private ones find a place among them."""
    os.mkdir(root + folder)
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if f"{folder}/{name}" not in taken:
            show(f"{folder}/{name}", f"{root}{folder}/{name}")


def build_root(plan: Plan) -> None:
    """Lays the job's root out below `plan["root"]` and makes it the root of this process."""
    root = plan["root"]
    mount(None, "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    taken = {target for _, target in plan["private"]}
    shared = {f"/{target.split('/')[1]}" for target in taken if not os.path.exists(target)}
    shared.add("/opt")
    for name in os.listdir("/"):
        if name not in ("tmp", "proc") and f"/{name}" not in shared:
            show(f"/{name}", f"{root}/{name}")
    for name in ("tmp", "proc"):
        os.mkdir(f"{root}/{name}")
    for folder in shared:
        show_around(folder, root, taken)
    for source, target in plan["private"]:
        if os.path.isdir(source):
            os.makedirs(root + target, exist_ok=True)
        mount(source, root + target, flags=MS_BIND)
        if target in plan["read_only"]:
            make_read_only(root + target)
    for path in plan["hidden"]:  # the server's state, unless a private folder hides it already
        if os.path.isdir(root + path):
            mount("tmpfs", root + path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "mode=755")
    for path in plan["visible"]:  # such as a virtual environment that lies below /tmp
        if path.startswith(tuple(f"{target}/" for target in taken)):
            show(os.path.realpath(path), root + path)
    mount("tmpfs", f"{root}/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    mount_proc(f"{root}/proc")
    os.chdir(root)
    check(libc.pivot_root(b".", b"."), "pivot_root")
    check(libc.umount2(b".", MNT_DETACH), "umount the old root")


def mount_proc(target: str) -> None:
    """The job's own processes; where the machine forbids that (in a container), the machine's."""
    try:
        mount("proc", target, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except OSError:
        mount("/proc", target, flags=MS_BIND | MS_REC)
    mount(f"{target}/sys", f"{target}/sys", flags=MS_BIND | MS_REC)
    make_read_only(f"{target}/sys")


def drop_privileges() -> None:
    for capability in range(64):
        if capability not in KEPT_CAPABILITIES:
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # past the last one: EINVAL, no harm
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def execute(command: list[str], environment: dict[str, str], directory: str) -> NoReturn:
    """Becomes the program, or exits as a shell does: 127 when it is missing, 126 when refused."""
    os.setsid()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them; a program should not
        signal.signal(number, signal.SIG_DFL)
    try:
        os.chdir(directory)
        os.execvpe(command[0], command, environment)
    except OSError as error:
        print(f"cannot run {command[0]}: {error.strerror}", flush=True)
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def be_init(program: int, status: int) -> NoReturn:
    """Process 1: passes SIGTERM to the program, reaps orphans, ends with the program's status."""
    signal.signal(signal.SIGTERM, lambda *_: os.kill(program, signal.SIGTERM))
    os.close(status)  # with the program's copy gone at its exec, this says that it runs
    while True:
        process, status = os.wait()
        if process == program:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def main() -> None:
    plan = json.loads(sys.stdin.buffer.read())
    os.umask(0o022)  # as in a container; the server's own is stricter
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.set_inheritable(plan["status"], False)
    try:
        enter_namespaces(plan["isolated"])
        die_with_parent()  # after the user namespace, since entering one clears it
        if os.getppid() != plan["parent"]:
            os._exit(137)
        outer = os.getpid()
        init = os.fork()
        if init:
            be_outer(init, plan["status"])
        die_with_parent()
        if parent_of_this_process() != outer:
            os._exit(137)
        if plan["isolated"]:
            raise_loopback()
        socket.sethostname(plan["hostname"])
        build_root(plan)
        drop_privileges()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        os.write(plan["status"], f"{where}{error.strerror or error}".encode())
        os._exit(125)
    program = os.fork()
    if program == 0:
        execute(plan["command"], plan["environment"], plan["directory"])
    be_init(program, plan["status"])


def be_outer(init: int, status: int) -> NoReturn:
    os.close(status)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(init, signal.SIGTERM))
    _, result = os.waitpid(init, 0)
    code = os.waitstatus_to_exitcode(result)
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
