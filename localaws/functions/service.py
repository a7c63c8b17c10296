"""Lambda as a whole: its parts put together, behind one WSGI application."""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from localaws.context import Context
from localaws.delivery.queue import Queue
from localaws.delivery.targets import Targets
from localaws.functions.api import LambdaApi
from localaws.functions.asynchronous import Asynchronous
from localaws.functions.code import CodeStore
from localaws.functions.fleet import Fleet
from localaws.functions.functions import Functions
from localaws.functions.invoking import Invoker, Measure
from localaws.functions.layers import Layers
from localaws.functions.permissions import Permissions
from localaws.functions.versions import Versions
from localaws.functions.world import Credentials, World
from localaws.jobs.logs import LogSink


class Lambda:
    """The service. `others` are components that answer more of its operations."""

    service = "lambda"

    def __init__(
        self,
        context: Context,
        *,
        assume: Credentials,
        logs: LogSink,
        queue: Queue,
        targets: Targets,
        measure: Measure,
        others: Iterable[object] = (),
    ) -> None:
        code = CodeStore(context.home / "functions" / "code", context.objects)
        self._world = World(context, code, assume, logs)
        self._fleet = Fleet(self._world)
        layers = Layers(context, code)
        functions = Functions(context, code, layers, self._fleet, assume)
        invoker = Invoker(functions, self._fleet, queue, measure)
        self.api = LambdaApi(
            [
                functions,
                Versions(context, functions),
                Permissions(context, functions),
                layers,
                Asynchronous(context, functions, invoker, queue, targets),
                invoker,
                *others,
            ],
            code,
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self.api(environ, start_response)

    def recover(self) -> None:
        self._world.prepare()

    def shutdown(self) -> None:
        self._fleet.shutdown()
