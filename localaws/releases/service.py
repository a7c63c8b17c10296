"""CodePipeline as a whole: its parts put together."""

from localaws.announcements import Announce
from localaws.context import Context
from localaws.releases.actions import Actions
from localaws.releases.definitions import Assume, Definitions
from localaws.releases.engine import Engine
from localaws.releases.executions import Executions
from localaws.rpc import RpcService


class CodePipeline(RpcService):
    """The service. It reaches S3, SNS and CodeBuild as anybody does, through this server's port."""

    service = "codepipeline"

    def __init__(self, context: Context, assume: Assume, announce: Announce) -> None:
        self._engine = Engine(context, Actions(context, assume), announce)
        definitions = Definitions(context, assume, lambda made: executions.of_new_pipeline(made))
        executions = Executions(context, definitions, self._engine)
        super().__init__([definitions, executions])

    def recover(self) -> None:
        self._engine.recover()

    def shutdown(self) -> None:
        self._engine.shutdown()
