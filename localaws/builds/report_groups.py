"""Groups of test reports, and the reports that builds have left."""

import uuid
from typing import Any

from buildspec import Report
from localaws.builds.errors import AlreadyExists, NotThere, unless
from localaws.context import Context

GROUP, REPORT = "report-group", "report"

Json = dict[str, Any]


class ReportGroups:
    """CreateReportGroup and its kin."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def create_report_group(self, request: Json) -> Json:
        if request["exportConfig"].get("exportConfigType", "NO_EXPORT") != "NO_EXPORT":
            unless({"exportConfig"}, "a report group")
        arn = self._arn(request["name"])
        if self._context.store.get(GROUP, arn):
            raise AlreadyExists(f"Report group already exists: {arn}")
        now = self._context.now()
        group = {**request, "arn": arn, "created": now, "lastModified": now, "status": "ACTIVE"}
        self._context.store.put(GROUP, arn, group)
        return {"reportGroup": group}

    def delete_report_group(self, request: Json) -> Json:
        for report in self._context.store.all(REPORT, f"{request['arn'].split('/')[-1]}:"):
            self._context.store.delete(REPORT, report["arn"].rpartition("/")[2])
        self._context.store.delete(GROUP, request["arn"])
        return {}

    def batch_get_report_groups(self, request: Json) -> Json:
        found = {arn: self._context.store.get(GROUP, arn) for arn in request["reportGroupArns"]}
        return {
            "reportGroups": [group for group in found.values() if group],
            "reportGroupsNotFound": [arn for arn, group in found.items() if not group],
        }

    def list_reports_for_report_group(self, request: Json) -> Json:
        arn = request["reportGroupArn"]
        if not self._context.store.get(GROUP, arn):
            raise NotThere(f"Report group cannot be found: {arn}")
        reports = self._context.store.all(REPORT, f"{arn.rpartition('/')[2]}:")
        order = -1 if request.get("sortOrder", "DESCENDING") == "DESCENDING" else 1
        return {"reports": [report["arn"] for report in reports][::order]}

    def batch_get_reports(self, request: Json) -> Json:
        found = {
            arn: self._context.store.get(REPORT, arn.rpartition("/")[2])
            for arn in request["reportArns"]
        }
        return {
            "reports": [report for report in found.values() if report],
            "reportsNotFound": [arn for arn, report in found.items() if not report],
        }

    def keep(self, project: str, build_arn: str, report: Report) -> str:
        """Keeps a build's report; a name that is no ARN means the project's own group."""
        group = report.group if report.group.startswith("arn:") else f"{project}-{report.group}"
        arn = group if group.startswith("arn:") else self._arn(group)
        if not self._context.store.get(GROUP, arn):
            unexported = {"exportConfigType": "NO_EXPORT"}
            name = arn.rpartition("/")[2]
            self.create_report_group({"name": name, "type": "TEST", "exportConfig": unexported})
        key = f"{arn.rpartition('/')[2]}:{uuid.uuid4()}"
        failed = report.counts.get("FAILED", 0) + report.counts.get("ERROR", 0)
        record = {
            "arn": self._context.arn("codebuild", f"report/{key}"),
            "type": "TEST",
            "name": key,
            "reportGroupArn": arn,
            "executionId": build_arn,
            "status": "FAILED" if failed else "SUCCEEDED",
            "created": self._context.now(),
            "truncated": False,
            "testSummary": {
                "total": report.total,
                "statusCounts": report.counts,
                "durationInNanoSeconds": int(report.seconds * 1e9),
            },
        }
        self._context.store.put(REPORT, key, record)
        return str(record["arn"])

    def _arn(self, name: str) -> str:
        return self._context.arn("codebuild", f"report-group/{name}")
