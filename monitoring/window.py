"""Windows: the hours from `start` up to, but not including, `end`, in UTC."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass

HOUR = datetime.timedelta(hours=1)
_OFFSET = re.compile(r"-P(?=.)(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")


@dataclass(frozen=True)
class Window:
    """`start` <= moment < `end`, both aware. Raises ValueError when it holds no time at all."""

    start: datetime.datetime
    end: datetime.datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError(f"The window {self.start} to {self.end} names no time zone: add one.")
        if self.start >= self.end:
            raise ValueError(f"The window {self} is empty: its start must lie before its end.")

    @classmethod
    def parse(cls, start: str, end: str) -> Window:
        """Of two ISO times, as `start_time` and `end_time` in an analyzer's environment."""
        return cls(moment(start), moment(end))

    @classmethod
    def hour_of(cls, time: datetime.datetime) -> Window:
        """The whole hour that `time` lies in."""
        start = floor(time)
        return cls(start, start + HOUR)

    @classmethod
    def last_hours(cls, count: int, now: datetime.datetime) -> Window:
        """The last `count` hours that are over, as an hourly schedule looks at them."""
        return cls(floor(now) - count * HOUR, floor(now))

    @classmethod
    def from_offsets(cls, start: str, end: str, now: datetime.datetime) -> Window:
        """Of two offsets such as -PT1H and -PT0H, or -P8D and -P1D, before the hour of `now`."""
        return cls(floor(now) + offset(start), floor(now) + offset(end))

    @property
    def whole_hours(self) -> bool:
        """Whether both ends lie on the hour."""
        return self.start == floor(self.start) and self.end == floor(self.end)

    def hours(self) -> Iterator[datetime.datetime]:
        """The starts of the hours that it touches."""
        hour = floor(self.start)
        while hour < self.end:
            yield hour
            hour += HOUR

    def prefixes(self) -> list[str]:
        """The folders of its hours below `<endpoint>/<variant>/`: `yyyy/mm/dd/hh`."""
        return [f"{hour:%Y/%m/%d/%H}" for hour in self.hours()]

    def __contains__(self, time: datetime.datetime) -> bool:
        return self.start <= time < self.end

    def __str__(self) -> str:
        start, end = (t.astimezone(datetime.UTC) for t in (self.start, self.end))
        return f"{start:%Y-%m-%dT%H:%M:%SZ} to {end:%Y-%m-%dT%H:%M:%SZ}"


def floor(time: datetime.datetime) -> datetime.datetime:
    """The start of the UTC hour that `time` lies in."""
    return time.astimezone(datetime.UTC).replace(minute=0, second=0, microsecond=0)


def moment(text: str) -> datetime.datetime:
    """An ISO time in UTC; one without a zone is taken for UTC. Raises ValueError."""
    time = datetime.datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)


def offset(text: str) -> datetime.timedelta:
    """`-P1DT2H` as a (negative) span of time. Raises ValueError."""
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no offset: expected one like -PT1H or -P8D.")
    days, hours, minutes = (int(part or 0) for part in match.groups())
    return -datetime.timedelta(days=days, hours=hours, minutes=minutes)
