"""Tags of our own SageMaker resources, by ARN."""

from typing import Any

from localaws.context import Context
from localaws.errors import LimitExceeded, ValidationError

_KIND = "tags"
_MOST = 50  # tags a resource, https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AddTags.html


class Tags:
    """AddTags, ListTags, DeleteTags; `keep` and `drop` for those who make resources."""

    def __init__(self, context: Context) -> None:
        self._context, self._store = context, context.store

    def keep(self, arn: str, tags: list[dict[str, str]] | None) -> None:
        """Keeps the Tags member of a create request."""
        if tags:
            self._write(arn, {tag["Key"]: tag["Value"] for tag in tags})

    def drop(self, arn: str) -> None:
        """Forgets the tags of a deleted resource."""
        self._store.delete(_KIND, arn)

    def of(self, arn: str) -> list[dict[str, str]]:
        """The tags as the API lists them."""
        record = self._store.get(_KIND, arn) or {"Tags": {}}
        return [{"Key": key, "Value": value} for key, value in record["Tags"].items()]

    def add_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = self._checked(request["ResourceArn"])
        with self._store.transaction():
            tags = {tag["Key"]: tag["Value"] for tag in [*self.of(arn), *request["Tags"]]}
            self._write(arn, tags)
        return {"Tags": self.of(arn)}

    def list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        tags = self.of(self._checked(request["ResourceArn"]))
        start = _position(request.get("NextToken"))
        end = start + request.get("MaxResults", _MOST)
        page: dict[str, Any] = {"Tags": tags[start:end]}
        if end < len(tags):
            page["NextToken"] = str(end)
        return page

    def delete_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = self._checked(request["ResourceArn"])
        with self._store.transaction():
            left = {
                tag["Key"]: tag["Value"]
                for tag in self.of(arn)
                if tag["Key"] not in request["TagKeys"]
            }
            self._write(arn, left)
        return {}

    def _write(self, arn: str, tags: dict[str, str]) -> None:
        reserved = sorted(key for key in tags if key.lower().startswith("aws:"))
        if reserved:
            raise ValidationError(
                f"Tag keys that start with 'aws:' are reserved: {', '.join(reserved)}"
            )
        if len(tags) > _MOST:
            raise LimitExceeded(f"A resource can have {_MOST} tags; {arn} would have {len(tags)}.")
        self._store.put(_KIND, arn, {"Tags": tags})

    def _checked(self, arn: str) -> str:
        if not arn.startswith(self._context.arn("sagemaker", "")):
            raise ValidationError(
                f"{arn} is not a SageMaker resource of account {self._context.account} in"
                f" {self._context.region}."
            )
        return arn


def _position(token: str | None) -> int:
    if token is None:
        return 0
    if not token.isdecimal():
        raise ValidationError("The pagination token is not valid.")
    return int(token)
