"""The server process: `python -m localaws.server --home DIR --port N --region R`.

`build` is the one place where the parts are put together. Started by hand it runs in the
foreground; `localaws.control` starts it detached.
"""

import argparse
import dataclasses
import logging
import logging.handlers
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from werkzeug.serving import BaseWSGIServer, make_server

from localaws.alarms.measures import Measures
from localaws.alarms.watch import Alarms
from localaws.announcements import Announcements
from localaws.builds.service import CodeBuild
from localaws.context import Context
from localaws.delivery.service import Delivery
from localaws.errors import LocalAwsError
from localaws.functions.service import Lambda
from localaws.gateway import Gateway
from localaws.home import Home
from localaws.hosting.instance import Host
from localaws.hosting.live import Hosting
from localaws.hosting.metrics import Metrics
from localaws.hosting.runtime import Runtime
from localaws.hosting.spec import Limits
from localaws.http import Handler
from localaws.identity import Identity
from localaws.jobs.logs import CloudWatchLogs
from localaws.jobs.runner import Runner
from localaws.monitoring.clock import Clock
from localaws.monitoring.executions import Executions
from localaws.moto_side import interpreter
from localaws.moto_side.cloudwatch import CloudWatch
from localaws.moto_side.events import EventBus
from localaws.moto_side.state import MotoState
from localaws.moto_side.wsgi import MotoSide
from localaws.permissions.actions import Place
from localaws.permissions.enforcement import Enforcement
from localaws.permissions.guard import Guard
from localaws.permissions.principal import Principals
from localaws.permissions.record import Record
from localaws.releases.service import CodePipeline
from localaws.sagemaker.endpoint_configs import EndpointConfigs
from localaws.sagemaker.endpoints import Endpoints
from localaws.sagemaker.job_definitions import DataQualityJobDefinitions
from localaws.sagemaker.models import Models
from localaws.sagemaker.monitoring_schedules import MonitoringSchedules
from localaws.sagemaker.pipelines import Pipelines
from localaws.sagemaker.processing import ProcessingJobs
from localaws.sagemaker.registry import ModelRegistry
from localaws.sagemaker.service import SageMaker
from localaws.sagemaker.tags import Tags
from localaws.sagemaker.training import TrainingJobs
from localaws.sagemaker.transform import TransformJobs
from localaws.sagemaker.tuning import TuningJobs
from localaws.store import Store

log = logging.getLogger(__name__)

HOST = "127.0.0.1"


def build(context: Context, state: MotoState) -> list[Any]:
    """The components in the order in which they recover; they end in the other one."""
    identity = Identity(context, state)
    logs = CloudWatchLogs(context.account, context.region)
    events, delivery = EventBus(state, context.region), Delivery(context, state)
    announce = Announcements(context, delivery.queue, events)
    runner = Runner(context, identity.credentials, logs)
    processing = ProcessingJobs(context, runner, announce)
    training = TrainingJobs(context, runner, announce)
    tuning = TuningJobs(context, training, announce)
    registry = ModelRegistry(context, events)
    models = Models(context, identity.credentials)
    transform = TransformJobs(context, runner, models, announce)
    steps = {
        "Processing": processing,
        "Training": training,
        "Tuning": tuning,
        "RegisterModel": registry,
        "Model": models,
        "Transform": transform,
    }
    pipelines = Pipelines(context, steps, announce=announce)
    jobs = [runner, processing, training, tuning, transform]
    sagemaker = [Tags(context), *jobs, registry, models, pipelines]
    host = Host(
        context, identity.credentials, logs, Limits.from_environment(), state.wait_until_loaded
    )
    endpoints = build_endpoints(host, state, models, events)
    monitoring = build_monitoring(context, state, processing)
    others = build_events(context, state, identity, logs, events, delivery)
    released = Announcements(context, delivery.queue, events, "aws.codepipeline")
    releases = [
        CodePipeline(context, identity.credentials, released),
        CodeBuild(context, identity.credentials, logs),
    ]
    return [*sagemaker, *endpoints, *monitoring, *others, *releases]


def build_events(
    context: Context,
    state: MotoState,
    identity: Identity,
    logs: CloudWatchLogs,
    events: EventBus,
    delivery: Delivery,
) -> list[object]:
    """What happens because something else did: functions, alarms, deliveries."""
    alarms = Alarms(context, state, delivery.queue, delivery.targets, events)
    measures = Measures(CloudWatch(state, context.region).put, context.now)
    functions = Lambda(
        context,
        assume=identity.credentials,
        logs=logs,
        queue=delivery.queue,
        targets=delivery.targets,
        measure=measures,
        others=[delivery.event_sources],
    )
    return [measures, functions, alarms, delivery]


def build_endpoints(host: Host, state: MotoState, models: Models, events: EventBus) -> list[object]:
    """What serves: configurations, endpoints, and InvokeEndpoint."""
    context, hosting = host.context, Hosting(host)
    cloudwatch = CloudWatch(state, context.region)
    configs = EndpointConfigs(context, models)
    endpoints = Endpoints(context, configs, hosting, events, cloudwatch.alarm_states)
    runtime = Runtime(context, hosting, Metrics(cloudwatch.put, context.now))
    return [runtime, configs, endpoints]


def build_monitoring(
    context: Context, state: MotoState, processing: ProcessingJobs
) -> list[object]:
    """Monitoring schedules, what they run, and their clock."""
    put = CloudWatch(state, context.region).put
    executions = Executions(context, processing.create_processing_job, put)
    definitions = DataQualityJobDefinitions(context)
    schedules = MonitoringSchedules(context, definitions, executions)
    clock = Clock(context, schedules, executions, state.wait_until_loaded)
    return [definitions, schedules, clock]


def build_guard(context: Context, state: MotoState, decisions: Path | None) -> Guard:
    """What decides about every request; `decisions` is where it is recorded."""
    principals = Principals(state, Place(context.partition, context.region, context.account))
    interpreter.act_as_roles(principals.issue)
    return Guard(context, principals, Record(decisions) if decisions else None)


class Server:
    """One running embedded AWS: state, services and the listening port."""

    def __init__(
        self,
        home: Home,
        port: int,
        region: str,
        *,
        strict: bool = False,
        decisions: Path | None = None,
        on_failure: Callable[[], Any] = lambda: None,
    ) -> None:
        self._started = time.time()
        self._home, self._region = home, region
        self._http = _listen(port)
        self._state = MotoState(home, port=self.port, region=region, on_failure=on_failure)
        self._store = Store(home.records)
        context = Context(
            home=home.folder,
            store=self._store,
            objects=self._state.objects,
            region=region,
            account=self._state.account,
            endpoint_url=self.endpoint_url,
        )
        guard = build_guard(context, self._state, decisions)
        self.context = dataclasses.replace(context, guard=guard)
        self._components = build(self.context, self._state)
        self._http.app = Gateway(
            SageMaker(self._components),
            MotoSide(self._state),
            services={c.service: c for c in self._components if getattr(c, "service", "")},
            region=region,
            status=self.status,
            enforcement=Enforcement(guard),
            strict=strict,
        )
        for component in self._components:
            if hasattr(component, "recover"):
                component.recover()

    @property
    def port(self) -> int:
        return int(self._http.server_port)

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "home": str(self._home.folder),
            "region": self._region,
            "endpoint_url": self.endpoint_url,
            "started": self._started,
            "counts": {**self._state.counts(), **self._store.counts()},
        }

    def serve(self) -> None:
        """Answers requests until `stop` is called from another thread."""
        self._home.announce(self.status())
        log.info("answering on %s, state below %s", self.endpoint_url, self._home.folder)
        self._http.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        """Takes no more requests, lets the components end, and writes everything."""
        self._state.hold_executions()  # while what they call is still there
        self._http.is_closing = True  # type: ignore[attr-defined]  # our handler looks at it
        self._http.shutdown()
        for component in reversed(self._components):
            if hasattr(component, "shutdown"):
                component.shutdown()
        self._state.close()
        self._store.close()
        self._home.retire()
        log.info("stopped")


def _listen(port: int) -> BaseWSGIServer:
    try:
        server = make_server(HOST, port, _unready, threaded=True, request_handler=Handler)
    except (OSError, SystemExit):  # werkzeug ends the process when the port is taken
        raise LocalAwsError(f"Port {port} is in use: choose another one.") from None
    server.daemon_threads = True  # type: ignore[attr-defined]  # from socketserver's mix-in
    server.socket.listen(512)
    return server


def _unready(environ: Any, start_response: Any) -> list[bytes]:
    start_response("503 Starting", [("Content-Length", "0")])
    return [b""]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m localaws.server", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="folder that holds the state")
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 picks a free one")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--strict", action="store_true", help="refuse our own malformed answers")
    given = os.environ.get("LOCALAWS_DECISIONS")
    parser.add_argument(
        "--decisions",
        type=Path,
        default=Path(given) if given else None,
        help="file that takes what limited principals ask and get (or LOCALAWS_DECISIONS)",
    )
    options = parser.parse_args(arguments)
    os.umask(0o077)  # the state holds credentials
    home = Home(options.home)
    try:
        home.acquire()
        return _serve(home, options)
    except LocalAwsError as error:
        print(f"localaws: {error}", file=sys.stderr)
        return 1


def _serve(home: Home, options: argparse.Namespace) -> int:
    _log_to(home.log)
    stopping, failed = threading.Event(), threading.Event()

    def give_up() -> None:
        failed.set()
        stopping.set()

    try:
        server = Server(
            home,
            options.port,
            options.region,
            strict=options.strict,
            decisions=options.decisions,
            on_failure=give_up,
        )
    except LocalAwsError:
        raise
    except Exception:  # the log is the only place where a detached process can say it
        log.exception("localaws could not start")
        raise
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    threading.Thread(target=server.serve, name="http", daemon=True).start()
    stopping.wait()
    server.stop()
    return int(failed.is_set())


def _log_to(path: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=4 << 20, backupCount=2)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("localaws").setLevel(os.environ.get("LOCALAWS_LOG", "INFO"))


if __name__ == "__main__":
    sys.exit(main())
