"""How long a step's result may be used again, as its cache configuration says.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-caching-enabling.html.
"""

import datetime
import re
from typing import Any

# ISO 8601, and the forms that the SDK's documentation shows: 'p30d', 'T12H'.
_DURATION = re.compile(
    r"P?(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?"
)


def max_age(config: dict[str, Any]) -> datetime.timedelta | None:
    """How old a result may be; None without a limit. Raises ValueError for an illegal config."""
    if not isinstance(config.get("Enabled"), bool):
        raise ValueError("Enabled must be true or false")
    text = config.get("ExpireAfter")
    if text is None:
        return None
    match = _DURATION.fullmatch(str(text).upper())
    if match is None or not any(match.groups()):
        raise ValueError(f"ExpireAfter {text!r} is not an ISO 8601 duration such as P30D or PT12H")
    years, months, weeks, days, hours, minutes, seconds = (int(n or 0) for n in match.groups())
    return datetime.timedelta(
        days=365 * years + 30 * months + days,
        weeks=weeks,
        hours=hours,
        minutes=minutes,
        seconds=seconds,
    )
