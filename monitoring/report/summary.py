"""The window in a few sentences, in plain words and with the figures that carry them."""

from collections.abc import Sequence
from datetime import UTC, datetime

from monitoring.report.difference import ALPHA, POWER, Difference
from monitoring.report.figures import interval, names, p_value
from monitoring.report.observations import Answers, ReportInput, counted, percent, plain
from monitoring.report.reliability import Reliability
from monitoring.report.violations import Violation

FEW = 8  # answers of a class; with fewer a single one moves every figure


def state(given: ReportInput, found: Sequence[Violation]) -> str:
    """`violations`, `clean` or `not compared`."""
    if given.violations is None:
        return "not compared"
    return "violations" if found else "clean"


def headline(given: ReportInput, seen: Answers, found: Sequence[Violation]) -> str:
    """What happened, in one sentence or two."""
    endpoint, when = plain(given.endpoint_name, 63), window(given)
    if not len(seen):
        source = f" below {plain(given.window.source, 300)}" if given.window.source else ""
        why = "" if given.observations else " Was the endpoint asked, and was data capture on?"
        return f"There is no usable answer of {endpoint} from {when}{source}.{why}"
    below = int((seen.confidences < given.threshold).sum())
    first = (
        f"{endpoint} gave {counted(len(seen), 'answer')} from {when}; {below:,} of them "
        f"({part_of(below, len(seen))}) {'was' if below == 1 else 'were'} below the confidence "
        f"threshold of {given.threshold:.2f}."
    )
    return f"{first} {checks(given, found)}"


def checks(given: ReportInput, found: Sequence[Violation]) -> str:
    if given.violations is None:
        return "The traffic was not compared with a baseline."
    if not found:
        return "No check against the baseline failed."
    listed = list(dict.fromkeys(plain(one.name, 40) for one in found))
    named = ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
    return f"{counted(len(found), 'check')} against the baseline failed: {named}."


def window(given: ReportInput) -> str:
    """`2026-11-22 14:00 to 15:00 UTC`."""
    start, end = (_utc(moment) for moment in (given.window.start, given.window.end))
    form = "%H:%M" if start.date() == end.date() else "%Y-%m-%d %H:%M"
    return f"{start:%Y-%m-%d %H:%M} to {end.strftime(form)} UTC"


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def part_of(part: int, whole: int) -> str:
    """`5.0 %`; a share that is not all or nothing never reads `100 %` or `0 %`."""
    share = 100 * part / whole
    if part and share < 0.1:
        return "less than 0.1 %"
    if part < whole and share > 99.9:
        return "more than 99.9 %"
    return f"{share:.0f} %" if part in (0, whole) else f"{share:.1f} %"


def about_classes(given: ReportInput, seen: Answers, tested: Difference | None) -> list[str]:
    """How the classes differ, whether that is chance, and what would settle it."""
    if not len(seen):
        return []
    first, second = names(given)
    if tested is None:
        only, other = (first, second) if (seen.said == 0).any() else (second, first)
        return [
            f"Every answer was {only}, so the classes cannot be compared. Either no {other} was "
            f"shown, or the model takes them for {only}; balanced traffic or labels would tell."
        ]
    surer = first if tested.effect >= 0.5 else second
    pairs = max(tested.effect, 1 - tested.effect)
    size = (
        f"In {percent(pairs, 0)} of all pairs, one answer of each class, {surer} had the higher "
        f"confidence: a {tested.size} effect. Means {first} − {second}: "
        f"{interval(tested.means_apart, tested.interval)}"
        + (", Welch's 95 % interval in brackets." if tested.interval else ".")
    )
    return [_verdict(seen, tested, (first, second)), size, settled(seen, tested, (first, second))]


def _verdict(seen: Answers, tested: Difference, classes: tuple[str, str]) -> str:
    method = "exact" if tested.exact else "normal approximation, corrected for ties"
    u = f"{tested.u:,.1f}".removesuffix(".0")
    evidence = f"Mann-Whitney U = {u}, {p_value(tested.p)}, {method}"
    averages = [seen.of(number).mean() for number in (0, 1)]
    means = " and ".join(
        f"{value:.3f} for {name}" for value, name in zip(averages, classes, strict=True)
    )
    fewest = min(len(seen.of(number)) for number in (0, 1))
    few = f" With so few answers, {fewest} of one class, a few more can turn this." * (fewest < FEW)
    if tested.is_chance:
        return (
            f"Whether {classes[0]} and {classes[1]} are answered with different confidence cannot "
            f"be told from chance here ({evidence}): on average {means}.{few}"
        )
    surer, less = classes if tested.effect >= 0.5 else classes[::-1]
    return (
        f"The class {less} was answered less surely than {surer}, and that is unlikely to be "
        f"chance ({evidence}): on average {means}.{few}"
    )


def settled(seen: Answers, tested: Difference, classes: tuple[str, str]) -> str:
    """How many answers of each class an effect of this size needs, and how many there are."""
    have = [len(seen.of(number)) for number in (0, 1)]
    if tested.needed is None:
        return "An effect this small would not be settled by a million answers of each class."
    test = f"(power {POWER}, α = {ALPHA}, for the effect seen here, which is itself an estimate)"
    there = " and ".join(f"{count:,} {name}" for count, name in zip(have, classes, strict=True))
    enough = "enough" if min(have) >= tested.needed else "not enough"
    return (
        f"To settle an effect of this size takes {tested.needed:,} answers of each class {test}. "
        f"This window has {there}: {enough}."
    )


def about_labels(given: ReportInput, seen: Answers, found: Reliability | None) -> str:
    """Accuracy and calibration with the name of the data set, or that nobody labelled."""
    dataset = plain(given.dataset_name)
    if found is None:
        text = (
            "No answer in this window has a label, so neither accuracy nor calibration can be "
            "told. Attach ground truth by inference id."
        )
    else:
        low, high = found.interval
        text = (
            f"{found.labelled:,} of {counted(len(seen), 'answer')} have a label: "
            f"{percent(found.accuracy)} are right on “{dataset}” (95 % interval {percent(low)} to "
            f"{percent(high)}). The calibration error (ECE) is {found.ece:.3f}."
        )
    return text + _evaluation(given)


def _evaluation(given: ReportInput) -> str:
    measured = given.evaluation or {}
    accuracy = (measured.get("binary_classification_metrics") or {}).get("accuracy") or {}
    ece = (measured.get("calibration") or {}).get("ece")
    dataset = (measured.get("dataset") or {}).get("name")
    if "value" not in accuracy or not dataset:
        return ""  # an accuracy without the name of its data set is not shown
    text = f" At evaluation it was {percent(accuracy['value'])} on “{plain(dataset)}”"
    return text + (f", with an ECE of {ece:.3f}." if ece is not None else ".")
