"""`#{namespace.NAME}` in an action's configuration.

https://docs.aws.amazon.com/codepipeline/latest/userguide/reference-variables.html
"""

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"#\{([\w@-]+)\.([\w@-]+)\}")


class Unresolved(Exception):
    """A reference to what no action has given."""


def resolve(text: str, namespaces: Mapping[str, Mapping[str, str]]) -> str:
    """The text with each reference replaced. Raises Unresolved."""

    def value(match: re.Match[str]) -> str:
        namespace, name = match.groups()
        if name not in namespaces.get(namespace, {}):
            raise Unresolved(f"Variable {match[0]} has no value.")
        return namespaces[namespace][name]

    return _REFERENCE.sub(value, text)
