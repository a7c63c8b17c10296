"""CodeBuild as a whole: its parts put together."""

from localaws.builds.builds import Builds
from localaws.builds.errors import InvalidInput
from localaws.builds.projects import Assume, Projects
from localaws.builds.report_groups import ReportGroups
from localaws.context import Context
from localaws.jobs.logs import LogSink
from localaws.rpc import RpcService


class CodeBuild(RpcService):
    """The service."""

    service, invalid = "codebuild", InvalidInput

    def __init__(self, context: Context, assume: Assume, logs: LogSink) -> None:
        projects, groups = Projects(context, assume), ReportGroups(context)
        self._builds = Builds(context, projects, groups, assume, logs)
        super().__init__([projects, groups, self._builds])

    def recover(self) -> None:
        self._builds.recover()

    def shutdown(self) -> None:
        self._builds.shutdown()
