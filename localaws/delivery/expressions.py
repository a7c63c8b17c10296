"""Schedule expressions: `rate(5 minutes)`, `cron(0 12 * * ? *)`, `at(2026-01-31T08:00:00)`.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

import calendar
import datetime
import re
from collections.abc import Callable
from zoneinfo import ZoneInfo

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_CRON = re.compile(r"cron\((.+)\)")
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {n: i for i, n in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)}
_FURTHEST = datetime.timedelta(days=5 * 366)


def next_time(
    expression: str, after: datetime.datetime, start: datetime.datetime, zone: str = "UTC"
) -> datetime.datetime | None:
    """The first time after `after`; None when there is none.

    `start` is from when a rate counts. ValueError when the expression is none.
    """
    if match := _RATE.fullmatch(expression):
        step = datetime.timedelta(**{f"{match[2]}s": int(match[1])})
        if not step:
            raise ValueError(f"{expression} has no duration.")
        passed = max((after - start) // step, 0)
        return start + (passed + 1) * step
    if match := _AT.fullmatch(expression):
        moment = datetime.datetime.fromisoformat(match[1]).replace(tzinfo=ZoneInfo(zone))
        return moment if moment > after else None
    if match := _CRON.fullmatch(expression):
        return _Cron(match[1]).next_time(after.astimezone(ZoneInfo(zone)))
    raise ValueError(f"{expression} is neither rate(…) nor cron(…) nor at(…).")


class _Cron:
    """Minutes, hours, day of month, month, day of week, year."""

    def __init__(self, text: str) -> None:
        fields = text.upper().split()
        if len(fields) != 6:
            raise ValueError(f"cron({text}) has {len(fields)} fields, not 6.")
        minutes, hours, self._day, months, self._weekday, years = fields
        if (self._day == "?") == (self._weekday == "?"):
            raise ValueError(f"cron({text}): one of day of month and day of week must be ?.")
        self._minutes = _numbers(minutes, 0, 59)
        self._hours = _numbers(hours, 0, 23)
        self._months = _numbers(months, 1, 12, _MONTHS)
        self._years = _numbers(years, 1970, 2199)

    def next_time(self, after: datetime.datetime) -> datetime.datetime | None:
        moment = after.replace(second=0, microsecond=0) + datetime.timedelta(minutes=1)
        end = after + _FURTHEST
        while moment < end:
            is_day = (
                moment.year in self._years and moment.month in self._months and self._has(moment)
            )
            if not is_day:
                moment = moment.replace(hour=0, minute=0) + datetime.timedelta(days=1)
            elif moment.hour not in self._hours:
                moment = moment.replace(minute=0) + datetime.timedelta(hours=1)
            elif moment.minute not in self._minutes:
                moment += datetime.timedelta(minutes=1)
            else:
                return moment
        return None

    def _has(self, moment: datetime.datetime) -> bool:
        last = calendar.monthrange(moment.year, moment.month)[1]
        if self._weekday != "?":
            return self._has_weekday(moment, last)
        if self._day == "L":
            return moment.day == last
        if self._day.endswith("W"):
            return moment.day == _nearest_weekday(moment, int(self._day[:-1]), last)
        return moment.day in _numbers(self._day, 1, 31)

    def _has_weekday(self, moment: datetime.datetime, last: int) -> bool:
        weekday, field = moment.isoweekday() % 7 + 1, self._weekday
        if "#" in field:
            day, _, number = field.partition("#")
            is_number = (moment.day - 1) // 7 + 1 == int(number)
            return is_number and weekday in _numbers(day, 1, 7, _DAYS)
        if field.endswith("L") and field != "L":
            return moment.day > last - 7 and weekday in _numbers(field[:-1], 1, 7, _DAYS)
        return weekday == 7 if field == "L" else weekday in _numbers(field, 1, 7, _DAYS)


def _nearest_weekday(moment: datetime.datetime, day: int, last: int) -> int:
    wanted = moment.replace(day=min(day, last))
    shift: Callable[[int], int] = {5: -1, 6: 1}.get(wanted.weekday(), 0).__add__
    found = shift(wanted.day)
    if found < 1:
        return wanted.day + 2
    return found if found <= last else wanted.day - 2


def _numbers(field: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        body, _, step = part.partition("/")
        if body in ("*", "?"):
            first, end = low, high
        else:
            start, _, stop = body.partition("-")
            first = _number(start, names)
            end = _number(stop, names) if stop else (high if step else first)
        if not low <= first <= high or not low <= end <= high:
            raise ValueError(f"{field} is outside of {low} to {high}.")
        found.update(range(first, end + 1, int(step) if step else 1))
    return found


def _number(text: str, names: dict[str, int] | None) -> int:
    return names[text] if names and text in names else int(text)
