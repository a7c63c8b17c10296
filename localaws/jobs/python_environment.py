"""A Python environment for one job: the project's packages, and room for the job's own.

What a job's `requirements.txt` installs lands in the job's folder, comes before the project's
packages on the path, and is gone with the job. Made of a dozen links and small files instead of
`python -m venv`, in about 5 ms. (`venv --system-site-packages` would show the packages of the
*base* Python; the project itself usually lives in a virtual environment above that.)
"""

import os
import site
import sys
from pathlib import Path

from localaws.jobs.images import PROJECT

# Where the job finds its environment. A fixed place, because the first line of each script names
# the interpreter, and a folder of the user's may be too long for that or hold a space.
MOUNT = "/opt/localaws"

_PIP = f"#!{MOUNT}/bin/python\nimport runpy\nrunpy.run_module('pip', run_name='__main__')\n"


def make(folder: Path) -> None:
    """Lays the environment out in `folder`, to be mounted at `MOUNT`."""
    programs = folder / "bin"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    programs.mkdir(parents=True)
    packages.mkdir(parents=True)
    base = os.path.realpath(_base_executable())
    (folder / "pyvenv.cfg").write_text(
        f"home = {os.path.dirname(base)}\ninclude-system-site-packages = false\n"
    )
    for name in ("python", "python3", version):
        (programs / name).symlink_to(base)
    # `addsitedir` also follows the .pth files there, so editable installs are seen.
    (packages / "project.pth").write_text(
        "".join(f"import site; site.addsitedir({path!r})\n" for path in _package_folders())
    )
    for script in _python_scripts(Path(sys.executable).parent):
        _write_program(programs / script.name, _for_this_python(script))
    for name in ("pip", "pip3"):
        _write_program(programs / name, _PIP)


def search_path() -> str:
    """The job's PATH: its own programs, the project's, the system's."""
    system = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
    return os.pathsep.join((f"{MOUNT}/bin", os.path.dirname(sys.executable), *system))


def visible_paths() -> tuple[str, ...]:
    """The folders of this machine that the environment refers to."""
    folders = [sys.prefix, sys.base_prefix, os.path.realpath(sys.base_prefix), *_package_folders()]
    folders += [path for path in sys.path if os.path.isdir(path)]  # editable installs
    folders.append(str(PROJECT))
    return tuple(dict.fromkeys(os.path.abspath(path) for path in folders))


def _base_executable() -> str:
    return str(getattr(sys, "_base_executable", sys.executable))


def _package_folders() -> list[str]:
    """Where this process finds its packages, the user's own folder only if it is in use."""
    known = {
        os.path.abspath(path) for path in (*site.getsitepackages(), site.getusersitepackages())
    }
    return [path for path in sys.path if os.path.abspath(path) in known and os.path.isdir(path)]


def _python_scripts(folder: Path) -> list[Path]:
    """Console scripts that run the project's Python, such as torchrun."""
    if sys.prefix == sys.base_prefix:
        return []  # the machine's own programs: found on the PATH, and too many to look at
    return [path for path in folder.iterdir() if path.is_file() and _starts_python(path)]


def _starts_python(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"#!" and b"python" in file.readline()


def _for_this_python(script: Path) -> str:
    text = script.read_text(encoding="utf-8", errors="surrogateescape")
    return f"#!{MOUNT}/bin/python\n{text.partition(chr(10))[2]}"


def _write_program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    path.chmod(0o755)
