"""States that start an execution, `states:startExecution` with `.sync` and `.sync:2` among them.

moto has the task but hands the members on as the definition writes them (`StateMachineArn`), which
the API does not know, and gives its answer back as the API writes it (`executionArn`). Here both
are as Step Functions has them. When the state ends before what it started (its execution was
stopped, its time is up), that is stopped too.

Source: https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
"""

import datetime
import logging
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

log = logging.getLogger(__name__)

Json = dict[str, Any]


def install() -> None:
    """Mends moto's task; what it imports is imported by now or takes a second."""
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
        state_task_service_sfn as sfn,
    )

    task: Any = sfn.StateTaskServiceSfn
    by_moto = task._normalise_parameters

    def asked(self: Any, parameters: Json, *more: Any, **named: Any) -> None:
        by_moto(self, parameters, *more, **named)
        _rename(parameters, str.lower)

    def answered(self: Any, response: Json, *_: Any, **__: Any) -> None:
        _rename(response, str.upper)
        for name, value in response.items():
            if isinstance(value, datetime.datetime):
                response[name] = int(value.timestamp() * 1000)

    task._normalise_parameters, task._normalise_response = asked, answered
    task._build_sync_resolver = _stoppable(task._build_sync_resolver, sfn)
    task._build_sync2_resolver = _stoppable(task._build_sync2_resolver, sfn)
    task._eval_sync = _stopping(task._eval_sync)


def _rename(members: Json, of_first: Callable[[str], str]) -> None:
    for name in list(members):
        members[of_first(name[0]) + name[1:]] = members.pop(name)


def _stoppable(build: Any, sfn: Any) -> Any:
    """The resolver that moto builds, which then knows how to stop what it waits for."""

    def built(self: Any, env: Any, resource_runtime_part: Any, **named: Any) -> Any:
        arn = env.stack[-1]["ExecutionArn"]
        client = sfn.boto_client_for(  # looked up now: `interpreter` has put its own there
            region=resource_runtime_part.region,
            service="stepfunctions",
            state_credentials=named["state_credentials"],
        )
        resolver = build(self, env=env, resource_runtime_part=resource_runtime_part, **named)
        return _Waiting(resolver, lambda: client.stop_execution(executionArn=arn))

    return built


class _Waiting:
    """moto's resolver, and how to stop what it looks at."""

    def __init__(self, resolver: Callable[[], Any], stop: Callable[[], Any]) -> None:
        self._resolver, self.stop = resolver, stop

    def __call__(self) -> Any:
        return self._resolver()


def _stopping(wait: Any) -> Any:
    def waited(self: Any, env: Any, sync_resolver: _Waiting, **named: Any) -> Any:
        outcome = wait(self, env=env, sync_resolver=sync_resolver, **named)
        if outcome is None:
            try:
                sync_resolver.stop()
            except (BotoCoreError, ClientError) as error:  # its end is no reason to fail ours
                log.warning("what the stopped execution had started goes on: %s", error)
        return outcome

    return waited
