"""moto's state in this process, and how it outlives the process.

S3 objects are rows that are written with each change (`localaws.moto_s3`). All other services are
small: those that a request may have changed are pickled together, so that what they share stays
shared, at most once a second (less often when there is much to write) and at the end. What is kept
elsewhere (a bucket, another service's backend, a log stream's events) is a reference in the pickle.
Loading happens beside the start of the server, because moto's CloudFormation alone takes more than
a second to import; a request to moto waits for it.
"""

import importlib
import logging
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import moto
from moto.core import common_models
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.config import default_user_config
from moto.moto_server import werkzeug_app
from moto.utilities import utils

from localaws.errors import LocalAwsError
from localaws.home import Home
from localaws.moto_side import (
    executions,
    logs,
    pickles,
    policies,
    records,
    resumption,
    s3,
    s3_http,
)
from localaws.moto_side.blobs import Blobs
from localaws.moto_side.journal import Journal
from localaws.moto_side.objects import MotoObjects

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two snapshots
_SHARE = 0.5  # of the time that goes into snapshots at most, however large they have become
_FORMAT = f"3 moto-{moto.__version__} python-{sys.version_info.major}.{sys.version_info.minor}"
_NOT_HERE = frozenset({"localaws.moto_side.s3", "moto.sagemaker.models"})  # kept, or never reached
_TRIES = 20  # a thread of moto's own may change a dictionary while it is pickled

Place = tuple[str, str, str, str]  # module, name of the service's backends, account, region


class MotoState:
    """Sets moto up, loads what the folder holds, and keeps it written."""

    def __init__(
        self,
        home: Home,
        *,
        port: int,
        region: str,
        account: str = "123456789012",
        on_failure: Callable[[], Any] = lambda: None,
    ) -> None:
        self.account = account
        self._folder, self._on_failure = home.folder, on_failure
        _configure(port, account)
        self.journal = Journal(home.moto, Blobs(home.objects), records.record)
        self._check_format()
        s3.install(self.journal, self.changed, self.wait_until_loaded)
        s3_http.install()
        records.restore(self.journal)
        partition = utils.get_partition(region)
        self.objects = MotoObjects(self.journal, account, partition)
        self._endpoint_url, self._region = f"http://127.0.0.1:{port}", region
        self._preparing, self._prepared = threading.Lock(), False
        logs.install(self.changed)
        self.not_kept: set[Place] = set()
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._loaded = threading.Event()
        self._saving = threading.Lock()
        self._waiting: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)
        self._thread.start()

    def changed(self) -> None:
        """Something outside S3 may have changed; it is written within the next second."""
        self._changed.set()

    def when_saved(self, then: Callable[[], None]) -> None:
        """Calls `then` once all that has changed up to now is written, within the next second."""
        self._waiting.append(then)
        self._changed.set()

    def wait_until_loaded(self) -> None:
        """Returns when requests to services other than S3 may be answered."""
        self._loaded.wait()

    def counts(self) -> dict[str, int]:
        """How many buckets and objects there are."""
        return {kind: self.journal.count(kind) for kind in ("bucket", "object")}

    def prepare_cloudformation(self) -> None:
        """Imports it, which takes a second and a half, when somebody wants it."""
        with self._preparing:
            if not self._prepared:
                from localaws import cloudformation

                cloudformation.install(self._endpoint_url, self._region)
                self._prepared = True

    def save(self) -> None:
        """Writes what changed since the last time."""
        with self._saving:
            self.journal.flush()
            logs.save(self.journal)
            if self._changed.is_set():
                self._changed.clear()
                started, count = time.perf_counter(), len(self._waiting)
                state = _dump_retrying(self.not_kept)
                self.journal.put_snapshots({"format": _FORMAT.encode(), "services": state})
                for _ in range(count):
                    self._waiting.pop(0)()
                took = 1000 * (time.perf_counter() - started)
                log.debug("snapshot of %d bytes in %.0f ms", len(state), took)

    def hold_executions(self) -> None:
        """Before what they call ends: see `executions.hold`."""
        executions.hold([*_backends().values()])
        self.changed()

    def close(self) -> None:
        """Writes everything and closes the files."""
        self._closing.set()
        self._thread.join()
        if self._loaded.is_set():
            self.save()
        self.journal.close()

    def _run(self) -> None:
        try:
            self._load()
        except Exception:  # whatever it is, the folder is left as it was found
            log.exception(
                "the state in %s could not be read back: move that folder away to start anew",
                self._folder,
            )
            self._on_failure()
            return
        self._loaded.set()
        took = 0.0
        while not self._closing.wait(max(INTERVAL, took / _SHARE)):
            started = time.perf_counter()
            try:
                if any(executions.running([*_backends().values()])):
                    self._changed.set()
                self.save()
                took = time.perf_counter() - started
            except Exception:  # tried again in a second; the log says what is at risk till then
                self._changed.set()
                log.exception("the snapshot failed: a restart would lose the latest changes")

    def _load(self) -> None:
        state = self.journal.snapshots().get("services")
        if state is not None:
            if b"moto.cloudformation" in state:
                self.prepare_cloudformation()
            _load(state)
            if self._prepared:
                from localaws import cloudformation

                cloudformation.fail_interrupted()
        logs.load(self.journal)
        resumption.resume([*_backends().values()])

    def _check_format(self) -> None:
        found = self.journal.snapshots().get("format", _FORMAT.encode()).decode()
        if found != _FORMAT:
            self.journal.close()
            raise LocalAwsError(
                f"The state was written by another version ({found}; this is {_FORMAT}): start with"
                " that version, or with a new folder."
            )


def _configure(port: int, account: str) -> None:
    os.environ["MOTO_PORT"] = str(port)  # where moto's Step Functions call back
    os.environ["MOTO_ACCOUNT_ID"] = account
    werkzeug_app.DISABLE_GLOBAL_CORS = True  # type: ignore[attr-defined]  # no page in a browser has business here
    default_user_config["stepfunctions"]["execute_state_machine"] = True
    default_user_config["iam"]["load_aws_managed_policies"] = True
    # moto lists every instance that was ever made, for its dashboard, and so never frees one.
    common_models.BaseModel.__new__ = _plain_new  # type: ignore[method-assign]
    utils.load_resource = _load_resource
    BackendDict.reset()


_load_resource_of_moto = utils.load_resource


def _load_resource(resource: str) -> Any:
    """moto's CloudFormation and SSM import its EC2 (which `wsgi` refuses), whose tables of instance
    types are 65 MB and half of the time that CloudFormation takes to import."""
    is_unused = resource.startswith("ec2/resources/instance_type")
    return {} if is_unused else _load_resource_of_moto(resource)


def _plain_new(cls: type, *_: Any, **__: Any) -> Any:
    return object.__new__(cls)


def _dump_retrying(left_out: set[Place]) -> bytes:
    for _ in range(_TRIES):
        try:
            return _dump(left_out)
        except RuntimeError as error:
            if "changed size" not in str(error):
                raise
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            culprits = {place for place in _backends() if not _can_be_kept(place)}
            if culprits <= left_out:
                raise
            left_out |= culprits
            names = ", ".join(sorted({place[0] for place in culprits}))
            log.error("the state of %s cannot be kept over a restart: %s", names, error)
    raise RuntimeError("moto's state changes faster than it can be written")


def _can_be_kept(place: Place) -> bool:
    try:
        _dump({other for other in _backends() if other != place})
    except Exception:  # whatever it is, this is the one that cannot be pickled
        return False
    return True


def _dump(left_out: set[Place]) -> bytes:
    """The attributes of every backend that is in use, by where it is found."""
    backends = _backends()
    places = {id(found): place for place, found in backends.items()}
    content = {
        place: policies.without_aws_policies(vars(found))
        for place, found in backends.items()
        if place not in left_out
    }

    def refer(value: Any) -> pickles.Reference | None:
        if isinstance(value, BaseBackend):
            return ("backend", *places[id(value)])
        if isinstance(value, s3.Bucket):
            return ("bucket", value.name)
        if isinstance(value, BackendDict):
            place = _place(value)
            return ("services", *place) if place else None
        return policies.refer(value)

    return pickles.dumps(content, refer, executions.reduce)


def _load(state: bytes) -> None:
    def resolve(reference: pickles.Reference) -> Any:
        kind, *rest = reference
        if kind == "bucket":
            return records.find_bucket(rest[0])
        if kind == "services":
            return _services(*rest)
        if kind == policies.KIND:
            return policies.resolve(*rest)
        module, name, account, region = rest
        return _services(module, name)[account][region]

    content: dict[Place, dict[str, Any]] = pickles.loads(state, resolve)
    for (module, name, account, region), attributes in content.items():
        backend = _services(module, name)[account][region]
        pickles.restore_attributes(backend, policies.with_aws_policies(backend, attributes))


def _backends() -> dict[Place, BaseBackend]:
    instances: list[BackendDict[Any]] = list(BackendDict._instances)  # type: ignore[misc]
    found: dict[Place, BaseBackend] = {}
    for services in instances:
        place = _place(services)
        if place is None or services.backend.__module__ in _NOT_HERE:
            continue
        for account, region, backend in list(services.iter_backends()):
            found[*place, account, region] = backend
    return found


def _place(services: BackendDict[Any]) -> tuple[str, str] | None:
    """The module and name under which moto keeps a service's backends; None for replaced ones."""
    classes = services.backend.__mro__  # one of ours may have taken the place of moto's
    module = next(sys.modules[c.__module__] for c in classes if c.__module__.startswith("moto."))
    for name, value in vars(module).items():
        if value is services:
            return module.__name__, name
    return None


def _services(module: str, name: str) -> BackendDict[Any]:
    if not module.startswith("moto."):
        raise ValueError(f"{module} is no module of moto")
    found: BackendDict[Any] = getattr(importlib.import_module(module), name)
    return found
