"""Distributed Map, where moto's stops short of the service.

    ItemReader     every page of a listing, in the service's words; none for an empty prefix
    children       no more at once than MaxConcurrency, each with its result
    tolerance      more failures than the count or the percentage allow fail the map
    ResultWriter   manifest.json, and the results as SUCCEEDED_0.json, FAILED_0.json, PENDING_0.json

moto reads one page, starts every child however many have failed, forgets why they did, and writes a
manifest without results. A child is a part of its parent's execution here: it has an ARN in the
results, and cannot be described.

Source: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
and https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
"""

import datetime
import json
import threading
import uuid
from collections import deque
from typing import Any

MOST_AT_ONCE = 40  # children; the service takes 10,000
ERROR = "States.ExceedToleratedFailureThreshold"
CAUSE = "The specified tolerated failure threshold was exceeded"

Json = dict[str, Any]


def install() -> None:
    """Puts these in the place of moto's."""
    from moto.stepfunctions.parser.asl.component.state.exec.state_map import state_map
    from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.eval import (
        resource_eval_s3 as reader,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import (
        distributed_iteration_component as component,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.resource_eval import (  # noqa: E501  # moto's path
        resource_eval_s3 as writer,
    )

    reads: Any = reader.ResourceEvalS3
    reads._handle_list_objects_v2 = staticmethod(_list_objects)
    writes: Any = writer.ResourceEvalS3
    writes._handle_put_object = staticmethod(_put_results)
    maps: Any = component.DistributedIterationComponent
    maps._map_run = _map_run
    state: Any = state_map.StateMap
    state._eval_execution = _also_after_a_failure(state._eval_execution)


def _list_objects(env: Any, resource_runtime_part: Any, state_credentials: Any) -> None:
    from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.eval import (
        resource_eval_s3 as reader,
    )

    client = reader.ResourceEvalS3._get_s3_client(resource_runtime_part, state_credentials)
    pages = client.get_paginator("list_objects_v2").paginate(**env.stack.pop())
    env.stack.append([_item(found) for page in pages for found in page.get("Contents", [])])


def _item(found: Json) -> Json:
    return {
        "Etag": found["ETag"],
        "Key": found["Key"],
        "LastModified": int(found["LastModified"].timestamp()),
        "Size": found["Size"],
        "StorageClass": found.get("StorageClass", "STANDARD"),
    }


def _map_run(self: Any, env: Any, eval_input: Any) -> None:
    """Of `DistributedIterationComponent`: pops the items, leaves the outputs."""
    run = _Run(self, env, eval_input, env.stack.pop())
    threads = [threading.Thread(target=run.work, daemon=True) for _ in range(run.at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eval_input.map_run_record.results = run.results()
    if run.is_over_tolerance():
        raise _failure(env)
    env.stack.append([json.loads(one["Output"]) for one in run.ended if "Output" in one])


def _failure(env: Any) -> Exception:
    from moto.stepfunctions.parser.api import HistoryEventType, MapRunFailedEventDetails
    from moto.stepfunctions.parser.asl.component.common.error_name import failure_event as failures
    from moto.stepfunctions.parser.asl.component.common.error_name import states_error_name as names
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
        StatesErrorNameType,
    )
    from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

    details = MapRunFailedEventDetails(error=ERROR, cause=CAUSE)
    return failures.FailureEventException(
        failures.FailureEvent(
            env=env,
            error_name=names.StatesErrorName(
                typ=StatesErrorNameType.StatesExceedToleratedFailureThreshold
            ),
            event_type=HistoryEventType.MapRunFailed,
            event_details=EventDetails(mapRunFailedEventDetails=details),  # type: ignore[typeddict-item]  # of many, one
        )
    )


class _Run:
    """One run of a map: what is left to do, what runs, what has ended."""

    def __init__(self, component: Any, env: Any, eval_input: Any, items: list[Any]) -> None:
        self._env, self._record = env, eval_input.map_run_record
        self._program = component._get_iteration_program()
        # moto's worker, for what it knows of ItemSelector and Parameters.
        self._worker = component._create_worker(env=env, eval_input=eval_input, job_pool=None)
        self._total = len(items)
        self._left = deque(enumerate(items))
        self._running: list[Any] = []
        record = self._record
        self._tolerated = record.tolerated_failure_count, record.tolerated_failure_percentage
        self._failed = 0
        self._lock = threading.Lock()
        self.ended: list[Json] = []
        self.at_once = min(self._record.max_concurrency or MOST_AT_ONCE, MOST_AT_ONCE, self._total)
        for counter in (self._record.item_counter, self._record.execution_counter):
            counter.total.count(self._total)
            counter.pending.count(self._total)

    def work(self) -> None:
        """One child after the other, until none is left or too many have failed."""
        while (frame := self._next()) is not None:
            index, item = frame.item
            self._end(frame, _child(self._worker, self._program, frame, index, item))

    def _next(self) -> Any:
        with self._lock:
            if not self._left or self._is_over() or not self._env.is_running():
                return None
            frame = self._env.open_inner_frame()
            frame.item = self._left.popleft()
            self._running.append(frame)
            self._count("pending", -1)
            self._count("running", 1)
            return frame

    def _end(self, frame: Any, result: Json) -> None:
        with self._lock:
            self._running.remove(frame)
            self._env.delete_frame(frame)
            index, item = frame.item
            self.ended.append({**self._named(index, item), **result})
            self._failed += result["Status"] in ("FAILED", "TIMED_OUT")
            self._count("running", -1)
            self._count(result["Status"].lower(), 1)
            if self._is_over():
                now = datetime.datetime.now(datetime.UTC)
                for other in self._running:
                    other.set_stop(stop_date=now, error=None, cause=None)

    def _count(self, name: str, by: int) -> None:
        for counter in (self._record.item_counter, self._record.execution_counter):
            getattr(counter, name).offset(by)

    def is_over_tolerance(self) -> bool:
        with self._lock:
            return self._is_over()

    def _is_over(self) -> bool:
        """Neither threshold that is set may be exceeded; with none set, no child may fail."""
        count, share = self._tolerated
        if share and self._failed * 100 > share * self._total:
            return True
        return self._failed > count if count or not share else False

    def results(self) -> dict[str, list[Json]]:
        """What the result files hold, in the order of the items."""
        with self._lock:
            self.ended.sort(key=lambda one: int(one["_index"]))
            pending = [{**self._named(*left), "Status": "PENDING"} for left in self._left]
            found: dict[str, list[Json]] = {"FAILED": [], "PENDING": pending, "SUCCEEDED": []}
            for one in self.ended:
                found["SUCCEEDED" if one["Status"] == "SUCCEEDED" else "FAILED"].append(one)
            return found

    def _named(self, index: int, item: Any) -> Json:
        name = str(uuid.uuid4())
        machine = self._record.map_state_machine_arn
        return {
            "_index": index,
            "ExecutionArn": f"{machine.replace(':stateMachine:', ':execution:')}:{name}",
            "Input": json.dumps(item),
            "InputDetails": {"Included": True},
            "Name": name,
            "StateMachineArn": machine,
        }


def _child(worker: Any, program: Any, frame: Any, index: int, item: Any) -> Json:
    """Runs one child in its frame; how it ended."""
    from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
        FailureEventException,
    )
    from moto.stepfunctions.parser.asl.eval.states import ItemData, MapData

    started, error = datetime.datetime.now(datetime.UTC), {}
    try:
        data = frame.states.context_object.context_object_data
        data["Map"] = MapData(Item=ItemData(Index=index, Value=item))
        frame.states.reset(item)
        frame.stack.append(frame.states.get_input())
        worker._eval_input(env_frame=frame)
        given = frame.states.get_input()
        program.eval(frame)
    except FailureEventException as failure:  # of ItemSelector; the states' own are in the frame
        given, error = item, dict(failure.get_execution_failed_event_details() or {})
        frame.set_error(error)
    except Exception as unforeseen:  # moto raises anything, and one child must not end the thread
        given, error = item, {"error": "States.Runtime", "cause": repr(unforeseen)}
        frame.set_error(error)
    result = {"Input": json.dumps(given), "StartDate": started.isoformat()}
    result["StopDate"] = datetime.datetime.now(datetime.UTC).isoformat()
    return {**result, **_outcome(frame)}


def _outcome(frame: Any) -> Json:
    state = frame.program_state()
    statuses = {
        "ProgramError": "FAILED",
        "ProgramStopped": "ABORTED",
        "ProgramTimedOut": "TIMED_OUT",
    }
    status = statuses.get(type(state).__name__, "SUCCEEDED")
    if status == "SUCCEEDED":
        output = json.dumps(frame.states.get_input())
        return {"Status": status, "Output": output, "OutputDetails": {"Included": True}}
    error = getattr(state, "error", None)
    told = error if isinstance(error, dict) else {}
    return {"Status": status, **{k.capitalize(): v for k, v in told.items()}}


def _also_after_a_failure(evaluate: Any) -> Any:
    """The results are written too when too many children have failed."""

    def evaluated(self: Any, env: Any) -> None:
        try:
            evaluate(self, env)
        except Exception as failure:  # moto's own, looked at and raised again
            event = getattr(failure, "failure_event", None)
            if self.result_writer and getattr(event, "event_type", None) == "MapRunFailed":
                env.stack.append([])  # in the place of the outputs
                self.result_writer.eval(env)
                env.stack.pop()
            raise

    return evaluated


def _put_results(env: Any, resource_runtime_part: Any, state_credentials: Any) -> None:
    from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.resource_eval import (  # noqa: E501  # moto's path
        resource_eval_s3 as writer,
    )

    client = writer.ResourceEvalS3._get_s3_client(resource_runtime_part, state_credentials)
    parameters = env.stack.pop()
    env.stack.pop()  # the outputs, which the manifest's address replaces
    record = env.map_run_record_pool_manager.get_all()[-1]
    bucket, prefix = parameters["Bucket"], parameters.get("Prefix", "").rstrip("/")
    folder = f"{prefix}/{record.map_run_arn.rpartition(':')[2]}".lstrip("/")
    manifest: Json = {"DestinationBucket": bucket, "MapRunArn": record.map_run_arn}
    manifest["ResultFiles"] = {}
    for status, rows in record.results.items():
        files = manifest["ResultFiles"][status] = []
        if rows:
            body = json.dumps([{k: v for k, v in row.items() if k != "_index"} for row in rows])
            key = f"{folder}/{status}_0.json"
            client.put_object(Bucket=bucket, Key=key, Body=body.encode())
            files.append({"Key": key, "Size": len(body)})
    key = f"{folder}/manifest.json"
    client.put_object(Bucket=bucket, Key=key, Body=json.dumps(manifest, indent=2).encode())
    for counter in (record.item_counter, record.execution_counter):
        counter.results_written.count(len(record.results["SUCCEEDED"]))
    details = {"Bucket": bucket, "Key": key}
    env.stack.append({"MapRunArn": record.map_run_arn, "ResultWriterDetails": details})
