"""One build: its source fetched, its phases run and told, its artifacts and reports kept."""

import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

import buildspec
from buildspec import Build, BuildspecError, Outcome, PhaseResult
from localaws.builds import sources
from localaws.builds.errors import InvalidInput
from localaws.builds.projects import Assume, check_role
from localaws.builds.report_groups import ReportGroups
from localaws.context import Context
from localaws.jobs import environment
from localaws.jobs.logs import LogSink

log = logging.getLogger(__name__)

Json = dict[str, Any]
Report = Callable[[Json], None]  # takes the members of the build's record that have changed


class Run:
    """A build in a thread of its own. `report` keeps what changes in its record."""

    def __init__(
        self,
        context: Context,
        build: Json,
        report: Report,
        *,
        assume: Assume,
        logs: LogSink,
        groups: ReportGroups,
    ) -> None:
        self.build = build
        self._context, self._report, self._assume = context, report, assume
        self._logs, self._groups = logs, groups
        self._folder = context.home / "builds" / build["id"].partition(":")[2]
        self._phases: list[Json] = []
        self._runner: Build | None = None
        self._is_stopping, self.is_killed = False, False
        self.thread = threading.Thread(target=self._run, name=build["id"], daemon=True)

    def stop(self) -> None:
        self._is_stopping = True
        if self._runner:
            self._runner.stop()

    def kill(self) -> None:
        """Ends it because the server ends: the build is a FAULT then."""
        self.is_killed = True
        self.stop()

    def _run(self) -> None:
        status, more = "FAULT", Json()
        try:
            status, more = self._build()
        except _Ended as ended:
            status = ended.status
        except Exception as problem:  # ours, not the project's: a build must end all the same
            log.exception("build %s failed", self.build["id"])
            self._phase("FINALIZING", "FAULT", "INTERNAL_ERROR", str(problem))
        finally:
            status = "FAULT" if self.is_killed else status
            shutil.rmtree(self._folder, ignore_errors=True)
            self._phase("FINALIZING", "SUCCEEDED")
            self._phases.append({"phaseType": "COMPLETED", "startTime": self._context.now()})
            self._report(
                {
                    **more,
                    "buildStatus": status,
                    "buildComplete": True,
                    "currentPhase": "COMPLETED",
                    "endTime": self._context.now(),
                    "phases": self._phases,
                }
            )

    def _build(self) -> tuple[str, Json]:
        credentials = self._prepare()
        spec = self._source(credentials)
        given = self.build["environment"].get("environmentVariables", [])
        self._runner = Build(
            spec,
            self._folder / "src",
            image=self._image(credentials),
            variables={v["name"]: v["value"] for v in given} | self._variables(),
            seconds=60.0 * self.build["timeoutInMinutes"],
            uploads=self.build["artifacts"].get("type", "NO_ARTIFACTS") != "NO_ARTIFACTS",
            say=self._say,
            on_phase=self._on_phase,
            now=self._context.now,
        )
        if self._is_stopping:
            self._runner.stop()
        outcome = self._runner.run()
        exported = [{"name": k, "value": v} for k, v in outcome.exported.items()]
        reports = [
            self._groups.keep(self.build["projectName"], self.build["arn"], report)
            for report in outcome.reports
        ]
        status, artifacts = self._upload(outcome, credentials)
        return status, {
            "exportedEnvironmentVariables": exported,
            "reportArns": reports,
            "artifacts": artifacts,
        }

    def _prepare(self) -> Json:
        """The phases before anything of the project's runs, and the role's credentials."""
        self._phase("SUBMITTED", "SUCCEEDED")
        self._phase("QUEUED", "SUCCEEDED")
        try:
            credentials = check_role(self.build["serviceRole"], self._assume)
        except InvalidInput as error:
            self._phase("PROVISIONING", "FAILED", "ACCESS_DENIED", error.message)
            raise _Ended("FAILED") from None
        self._phase("PROVISIONING", "SUCCEEDED")
        return credentials

    def _source(self, credentials: Json) -> buildspec.Buildspec:
        source, folder = self.build["source"], self._folder / "src"
        folder.mkdir(parents=True)
        start = self._context.now()
        try:
            if source["type"] != "NO_SOURCE":
                bucket, _, key = source["location"].partition("/")
                version = self.build.get("sourceVersion")
                which = {"VersionId": version} if version else {}
                found = self._s3(credentials).get_object(Bucket=bucket, Key=key, **which)
                sources.unpack(found["Body"].read(), folder)
            spec = buildspec.read(self._text(source.get("buildspec") or "", folder))
        except ClientError as error:
            code, message = "CLIENT_ERROR", f"{source['location']}: {error}"
        except (sources.BadSource, OSError) as error:
            code, message = "CLIENT_ERROR", str(error)
        except BuildspecError as error:
            code, message = "YAML_FILE_ERROR", str(error)
        else:
            self._phase("DOWNLOAD_SOURCE", "SUCCEEDED", start=start)
            return spec
        self._phase("DOWNLOAD_SOURCE", "FAILED", code, message, start)
        raise _Ended("FAILED")

    def _text(self, given: str, folder: Path) -> str:
        """The buildspec: written in the project, or a file of the source."""
        if "\n" in given:
            return given
        path = (folder / (given or "buildspec.yml")).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise BuildspecError(f"{given or 'buildspec.yml'} does not exist in the source.")
        return path.read_text(encoding="utf-8")

    def _image(self, credentials: Json) -> dict[str, str]:
        """What stands for the image: this process's Python first, the system's programs after."""
        base = environment.build_from(credentials, {}, self._context.endpoint_url)
        home = self._folder / "home"
        home.mkdir(exist_ok=True)
        region = {"AWS_REGION": self._context.region, "AWS_DEFAULT_REGION": self._context.region}
        system = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")
        path = os.pathsep.join((os.path.dirname(sys.executable), *system))
        return {**base, **region, "PATH": path, "HOME": str(home)}

    def _variables(self) -> dict[str, str]:
        """https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html"""
        build = self.build
        made = {
            "CI": "true",
            "CODEBUILD_BUILD_ARN": build["arn"],
            "CODEBUILD_BUILD_ID": build["id"],
            "CODEBUILD_BUILD_IMAGE": build["environment"]["image"],
            "CODEBUILD_BUILD_NUMBER": str(build["buildNumber"]),
            "CODEBUILD_INITIATOR": build["initiator"],
            "CODEBUILD_KMS_KEY_ID": build["encryptionKey"],
            "CODEBUILD_LOG_PATH": build["logs"]["streamName"],
            "CODEBUILD_RESOLVED_SOURCE_VERSION": build.get("resolvedSourceVersion", ""),
            "CODEBUILD_SOURCE_VERSION": build.get("sourceVersion", ""),
            "CODEBUILD_START_TIME": str(int(1000 * build["startTime"].timestamp())),
        }
        return {name: value for name, value in made.items() if value}

    def _upload(self, outcome: Outcome, credentials: Json) -> tuple[str, Json]:
        """Puts the primary artifact where the project wants it; a failure fails the build."""
        wanted = self.build["artifacts"]
        files = outcome.artifacts.get("")
        if wanted.get("type", "NO_ARTIFACTS") == "NO_ARTIFACTS" or not files:
            return outcome.status, {"location": ""}
        if wanted.get("packaging") != "ZIP":
            raise InvalidInput("localaws does not implement artifacts that are not packed as ZIP.")
        key = "/".join(part for part in (wanted.get("path"), wanted.get("name")) if part)
        try:
            self._s3(credentials).put_object(
                Bucket=wanted["location"],
                Key=key,
                Body=sources.pack(files),
                ServerSideEncryption="aws:kms",
                SSEKMSKeyId=self.build["encryptionKey"],
            )
        except ClientError as error:
            last = self._phases[-1]
            last["phaseStatus"] = "FAILED"
            last["contexts"] = [{"statusCode": "CLIENT_ERROR", "message": str(error)}]
            return "FAILED", {"location": ""}
        arn = f"arn:{self._context.partition}:s3:::{wanted['location']}/{key}"
        return outcome.status, {"location": arn}

    def _s3(self, credentials: Json) -> Any:
        session = boto3.session.Session(
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["SessionToken"],
            region_name=self._context.region,
        )
        return session.client("s3", endpoint_url=self._context.endpoint_url)

    def _on_phase(self, name: str, ended: PhaseResult | None) -> None:
        if ended is None:
            self._report({"currentPhase": name, "phases": self._phases})
        else:
            self._phase(name, ended.status, ended.code, ended.message, ended.start)

    def _phase(
        self, name: str, status: str, code: str = "", message: str = "", start: Any = None
    ) -> None:
        end = self._context.now()
        start = start or end
        self._phases.append(
            {
                "phaseType": name,
                "phaseStatus": status,
                "startTime": start,
                "endTime": end,
                "durationInSeconds": int((end - start).total_seconds()),
                "contexts": [{"statusCode": code, "message": message}],
            }
        )
        self._report({"currentPhase": name, "phases": self._phases})

    def _say(self, line: str) -> None:
        event: dict[str, int | str] = {
            "timestamp": int(1000 * time.time()),
            "message": line or " ",
        }
        logs = self.build["logs"]
        self._logs.put(logs["groupName"], logs["streamName"], [event])


class _Ended(Exception):
    """The build is over before its commands."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status
