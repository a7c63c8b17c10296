"""Wildcards and policy variables.

`*` is any text, also across slashes and colons, `?` one character; `${aws:PrincipalAccount}` is the
request's value, `${key, 'default'}` has a default, `${*}`, `${?}` and `${$}` are those characters.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

import functools
import re
from collections.abc import Mapping

Context = Mapping[str, str | list[str]]  # condition keys in lower case

_TOKEN = re.compile(r"(\$\{[^}]*\}|\*|\?)")
_LITERALS = {"${*}": "*", "${?}": "?", "${$}": "$"}
_DEFAULT = re.compile(r"\$\{\s*([^,\s]+)\s*(?:,\s*'([^']*)'\s*)?\}")


def matches(pattern: str, text: str, context: Context | None = None) -> bool:
    """Whether `text` fits. Without a `context` there are no variables (policy version 2008-10-17).

    A variable that the request does not have makes the pattern fit nothing.
    """
    if pattern == "*":
        return True
    if context is None or "${" not in pattern:
        return _compiled(pattern, context is not None).fullmatch(text) is not None
    expanded = _regex(pattern, context)
    return expanded is not None and re.fullmatch(expanded, text, re.DOTALL) is not None


def fill(text: str, context: Context) -> str | None:
    """The text with its variables' values; wildcards stay as they are. None for a missing one."""
    parts = [_value(part, context) if part[:2] == "${" else part for part in _TOKEN.split(text)]
    return None if None in parts else "".join(str(part) for part in parts)


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str, has_variables: bool) -> re.Pattern[str]:
    tokens = _TOKEN.split(pattern) if has_variables else re.split(r"(\*|\?)", pattern)
    return re.compile("".join(_wild(token) for token in tokens), re.DOTALL)


def _regex(pattern: str, context: Context) -> str | None:
    parts = []
    for token in _TOKEN.split(pattern):
        value = _value(token, context) if token[:2] == "${" else None
        if token[:2] == "${" and value is None:
            return None
        parts.append(_wild(token) if value is None else re.escape(value))
    return "".join(parts)


def _wild(token: str) -> str:
    return {"*": ".*", "?": "."}.get(token) or re.escape(token)


def _value(token: str, context: Context) -> str | None:
    if token in _LITERALS:
        return _LITERALS[token]
    match = _DEFAULT.fullmatch(token)
    if match is None:
        return None
    value = context.get(match[1].lower(), match[2])
    return value if isinstance(value, str) else None  # a key of many values is no variable
