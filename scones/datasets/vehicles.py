"""The two vehicles, drawn from a few dozen random measures each.

A vehicle stands in its own coordinates: x runs from the rear hub (0, 0) to the front hub (1, 0), y
points up, and a length of 1 is the wheelbase. A `Pen` maps them onto the canvas, so that size,
lean, mirror image and the angle it is seen from are one affine map that the drawing never sees.
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Point = tuple[float, float]
Colour = tuple[int, int, int]

RUBBER: Colour = (28, 28, 30)
STEEL: Colour = (168, 170, 174)


class Pen:
    """Draws on `canvas` in a vehicle's coordinates; `matrix` is the 2×3 affine map to pixels."""

    def __init__(self, canvas: Image.Image, matrix: np.ndarray) -> None:
        self._draw = ImageDraw.Draw(canvas)
        self._rows = matrix.tolist()
        self._scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        pixels = max(1, round(width * self._scale))
        joint = "curve" if pixels > 2 else None
        self._draw.line(self._mapped(points), fill=colour, width=pixels, joint=joint)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        self._draw.polygon(self._mapped(points), fill=colour)

    def disc(self, centre: Point, radius: float, colour: Colour, flat: float = 1.0) -> None:
        self.polygon(_circle(centre, radius, flat=flat), colour)

    def ring(self, centre: Point, radius: float, width: float, colour: Colour) -> None:
        self.line(_circle(centre, radius), width, colour)

    def spokes(
        self, centre: Point, radius: float, count: int, width: float, colour: Colour, turn: float
    ) -> None:
        x, y = centre
        for number in range(count):
            angle = turn + 2 * math.pi * number / count
            end = (x + radius * math.cos(angle), y + radius * math.sin(angle))
            self.line([centre, end], width, colour)

    def _mapped(self, points: Sequence[Point]) -> list[Point]:
        # Plain floats: for the few points of a part numpy would take longer.
        (a, b, c), (d, e, f) = self._rows
        return [(a * x + b * y + c, d * x + e * y + f) for x, y in points]


def bicycle(pen: Pen, rng: np.random.Generator) -> None:
    """A racer, mountain, city or child's bicycle: a tube frame between two thin, open wheels."""
    kind = rng.choice(["racer", "mountain", "city", "child"], p=[0.35, 0.3, 0.25, 0.1])
    paint = any_paint(rng)
    tube = rng.uniform(0.028, 0.05)
    wheel = rng.uniform(0.22, 0.27) if kind == "child" else rng.uniform(0.29, 0.36)
    tyre = rng.uniform(0.05, 0.1) if kind == "mountain" else rng.uniform(0.022, 0.045)
    _bicycle_wheels(pen, rng, wheel, tyre, mudguards=kind == "city")

    bottom = (rng.uniform(0.38, 0.46), rng.uniform(-0.06, 0.02))
    seat = (rng.uniform(0.24, 0.33), rng.uniform(0.4, 0.58))
    head = (rng.uniform(0.74, 0.84), rng.uniform(0.48, 0.6))
    fork = (head[0] + 0.035, head[1] - rng.uniform(0.08, 0.14))
    top_end = _between(head, fork, 0.2)
    step_through = kind == "city" and rng.random() < 0.6
    top_start = _between(bottom, seat, rng.uniform(0.3, 0.5) if step_through else 0.92)
    for start, end, share in [
        ((0.0, 0.0), bottom, 0.7),
        ((0.0, 0.0), top_start if step_through else seat, 0.6),
        (bottom, seat, 1.0),
        (top_start, top_end, 1.0),
        (bottom, fork, 1.15),
        (head, fork, 1.2),
        (fork, (1.0, 0.0), 0.85),
    ]:
        pen.line([start, end], tube * share, paint)
    if rng.random() < 0.2:  # a bag or a battery in the frame, where a motorcycle has its engine
        corners = [_between(bottom, corner, 0.75) for corner in (seat, head)]
        pen.polygon([_between(bottom, seat, 0.15), *corners], shade(any_paint(rng), 0.7))
    _crank(pen, rng, bottom)
    post = (seat[0] - 0.025, seat[1] + rng.uniform(0.06, 0.16))
    pen.line([seat, post], tube * 0.7, STEEL)
    pen.polygon([(post[0] - 0.11, post[1] + 0.035), (post[0] + 0.12, post[1] + 0.03), post], RUBBER)
    _handlebar(pen, rng, head, drop=kind == "racer")


def _crank(pen: Pen, rng: np.random.Generator, axle: Point) -> None:
    x, y = axle
    ring = rng.uniform(0.05, 0.085)
    pen.ring(axle, ring, 0.022, STEEL if rng.random() < 0.5 else RUBBER)
    turn = rng.uniform(0, math.pi)
    across, up = 0.15 * math.cos(turn), 0.15 * math.sin(turn)
    pen.line([(x - across, y - up), (x + across, y + up)], 0.025, RUBBER)
    pen.line([(0.0, -0.03), (x, y - ring)], 0.012, RUBBER)


def _bicycle_wheels(
    pen: Pen, rng: np.random.Generator, wheel: float, tyre: float, *, mudguards: bool
) -> None:
    rubber = RUBBER if rng.random() < 0.85 else any_paint(rng)
    spoke = tuple(int(v) for v in rng.integers(90, 200) + rng.integers(-8, 8, 3))
    count, turn = int(rng.integers(9, 15)), rng.uniform(0, 1)
    for hub in ((0.0, 0.0), (1.0, 0.0)):
        pen.spokes(hub, wheel, count, 0.01, (spoke[0], spoke[1], spoke[2]), turn)
        pen.ring(hub, wheel, tyre, rubber)
        pen.disc(hub, 0.03, STEEL)
        if mudguards:
            pen.line(_circle(hub, wheel + 0.04, 0.15, 0.55), 0.03, any_paint(rng))


def _handlebar(pen: Pen, rng: np.random.Generator, head: Point, *, drop: bool) -> None:
    stem = (head[0] - 0.015, head[1] + rng.uniform(0.04, 0.12))
    pen.line([head, stem], 0.028, STEEL)
    x, y = stem
    if drop:
        pen.line(
            [
                (x, y),
                (x + 0.12, y),
                (x + 0.16, y - 0.06),
                (x + 0.12, y - 0.13),
                (x + 0.05, y - 0.13),
            ],
            0.028,
            RUBBER,
        )
    else:
        rise = rng.uniform(0.0, 0.09)
        pen.line([(x + 0.03, y), (x, y + rise), (x - 0.12, y + rise)], 0.03, RUBBER)


def motorcycle(pen: Pen, rng: np.random.Generator) -> None:
    """A naked, sports, cruiser, trail or scooter motorcycle: an engine and a tank on fat tyres."""
    kind = rng.choice(
        ["naked", "sports", "cruiser", "trail", "scooter"], p=[0.28, 0.24, 0.2, 0.18, 0.1]
    )
    paint = any_paint(rng)
    metal = tuple(int(v) for v in rng.integers(55, 185) + rng.integers(-10, 10, 3))
    engine: Colour = (metal[0], metal[1], metal[2])
    wheel = rng.uniform(0.17, 0.2) if kind == "scooter" else rng.uniform(0.24, 0.29)
    if kind == "trail":
        wheel = rng.uniform(0.26, 0.32)
    tyre = rng.uniform(0.06, 0.09) if kind == "trail" else rng.uniform(0.09, 0.14)
    _motorcycle_wheels(pen, rng, wheel, tyre, spoked=kind in ("trail", "cruiser"))
    head = (rng.uniform(0.7, 0.8), rng.uniform(0.46, 0.58))
    pen.line([head, (1.0, 0.0)], rng.uniform(0.04, 0.07), STEEL if rng.random() < 0.6 else RUBBER)
    if kind == "scooter":
        _scooter_body(pen, rng, paint, head)
    else:
        _engine(pen, rng, engine, small=kind == "trail")
        _tank_and_seat(pen, rng, paint, head, low=kind == "cruiser")
        _exhaust(pen, rng)
    if kind == "sports":
        _fairing(pen, rng, paint, head)
    _front(pen, rng, paint, head, wheel, high_fender=kind == "trail")


def _motorcycle_wheels(
    pen: Pen, rng: np.random.Generator, wheel: float, tyre: float, *, spoked: bool
) -> None:
    alloy = any_paint(rng) if rng.random() < 0.3 else STEEL
    count, turn = int(rng.integers(3, 7)), rng.uniform(0, 1)
    for hub in ((0.0, 0.0), (1.0, 0.0)):
        if spoked:
            pen.spokes(hub, wheel, 11, 0.012, STEEL, turn)
        else:
            pen.spokes(hub, wheel, count, 0.045, alloy, turn)
        pen.ring(hub, wheel, tyre, RUBBER)
        pen.disc(hub, rng.uniform(0.06, 0.12), STEEL if rng.random() < 0.6 else RUBBER)
    pen.line([(0.0, 0.0), (0.4, 0.05)], 0.05, STEEL if rng.random() < 0.5 else RUBBER)


def _engine(pen: Pen, rng: np.random.Generator, colour: Colour, *, small: bool) -> None:
    left = rng.uniform(0.34, 0.42) if small else rng.uniform(0.24, 0.32)
    right = rng.uniform(0.56, 0.64) if small else rng.uniform(0.66, 0.76)
    low, high = rng.uniform(-0.16, -0.06), rng.uniform(0.26, 0.36)
    pen.polygon([(left, low), (right - 0.06, low), (right, high), (left + 0.05, high)], colour)
    pen.disc((left + 0.12, low + 0.12), 0.1, shade(colour, 1.3))
    fins = shade(colour, 0.55)
    for level in np.linspace(low + 0.16, high, 4):
        pen.line([(left + 0.16, level), (right - 0.02, level)], 0.018, fins)


def _tank_and_seat(
    pen: Pen, rng: np.random.Generator, paint: Colour, head: Point, *, low: bool
) -> None:
    deck = rng.uniform(0.3, 0.36)
    swell = rng.uniform(0.12, 0.2)
    back = rng.uniform(0.36, 0.46)
    pen.polygon(
        [
            (back, deck),
            (back + 0.06, deck + swell * 0.8),
            (head[0] - 0.12, deck + swell + 0.04),
            (head[0], head[1] - 0.02),
            (head[0] - 0.04, deck + 0.02),
        ],
        paint,
    )
    shine = shade(paint, 1.6)
    pen.line([(back + 0.1, deck + swell * 0.75), (head[0] - 0.1, deck + swell * 0.9)], 0.025, shine)
    tail = rng.uniform(-0.12, 0.02)
    rise = rng.uniform(-0.06, 0.02) if low else rng.uniform(0.02, 0.16)
    pen.polygon(
        [
            (tail, deck + rise + 0.08),
            (back + 0.02, deck + 0.09),
            (back + 0.04, deck),
            (tail + 0.1, deck + rise),
        ],
        RUBBER if rng.random() < 0.75 else any_paint(rng),
    )
    pen.polygon([(tail - 0.03, deck + rise + 0.06), (back, deck), (0.12, deck - 0.06)], paint)


def _exhaust(pen: Pen, rng: np.random.Generator) -> None:
    chrome = STEEL if rng.random() < 0.7 else shade(STEEL, 0.4)
    level = rng.uniform(-0.14, -0.02)
    rear = (rng.uniform(-0.2, 0.05), level + rng.uniform(0.0, 0.2))
    pen.line([(0.64, 0.12), (0.58, level), (0.32, level), rear], 0.035, chrome)
    pen.line([_between((0.32, level), rear, 0.25), rear], rng.uniform(0.06, 0.09), chrome)


def _fairing(pen: Pen, rng: np.random.Generator, paint: Colour, head: Point) -> None:
    x, y = head
    low = rng.uniform(-0.16, 0.12)
    pen.polygon(
        [
            (x - 0.2, y - 0.06),
            (x + 0.02, y + 0.1),
            (x + 0.17, y - 0.08),
            (x + 0.04, y - 0.2),
            (x - 0.06, low + 0.06),
            (0.36, low),
            (0.44, low + 0.14),
        ],
        paint,
    )
    pen.polygon([(x - 0.08, y + 0.06), (x - 0.02, y + 0.2), (x + 0.1, y + 0.03)], shade(STEEL, 0.7))
    pen.line([(0.46, low + 0.1), (x - 0.02, y - 0.06)], 0.04, any_paint(rng))


def _scooter_body(pen: Pen, rng: np.random.Generator, paint: Colour, head: Point) -> None:
    deck = rng.uniform(-0.1, -0.02)
    pen.polygon(
        [(-0.14, 0.28), (0.34, 0.34), (0.42, deck + 0.05), (0.2, deck - 0.02), (-0.06, 0.1)], paint
    )
    pen.polygon([(0.3, deck), (0.78, deck), (0.78, deck + 0.07), (0.3, deck + 0.07)], RUBBER)
    x, y = head
    pen.polygon([(0.7, deck), (x - 0.02, y), (x + 0.1, y - 0.06), (0.88, deck + 0.1)], paint)
    pen.polygon([(-0.16, 0.3), (-0.1, 0.38), (0.32, 0.42), (0.38, 0.34)], RUBBER)


def _front(
    pen: Pen,
    rng: np.random.Generator,
    paint: Colour,
    head: Point,
    wheel: float,
    *,
    high_fender: bool,
) -> None:
    gap = 0.12 if high_fender else 0.05
    pen.line(_circle((1.0, 0.0), wheel + gap, 0.2, 0.42), 0.045, paint)
    x, y = head
    pen.disc((x + 0.06, y - 0.01), rng.uniform(0.045, 0.075), (226, 222, 196))
    grip = (x - rng.uniform(0.1, 0.18), y + rng.uniform(0.05, 0.2))
    pen.line([(x, y), (x - 0.02, grip[1]), grip], 0.032, RUBBER)


def rider(pen: Pen, rng: np.random.Generator, *, helmet: bool) -> None:
    """Somebody in the saddle, leaning forward; the same person for both vehicles."""
    cloth, legs = any_paint(rng), shade(any_paint(rng), 0.6)
    hip = (rng.uniform(0.24, 0.34), rng.uniform(0.48, 0.62))
    shoulder = (hip[0] + rng.uniform(0.1, 0.3), hip[1] + rng.uniform(0.32, 0.42))
    knee = (hip[0] + rng.uniform(0.16, 0.26), hip[1] - rng.uniform(0.14, 0.28))
    pen.line([hip, knee, (knee[0] - 0.06, -0.04)], 0.1, legs)
    pen.line([hip, shoulder], 0.19, cloth)
    pen.line([shoulder, (0.62, shoulder[1] - 0.22), (0.76, 0.64)], 0.075, shade(cloth, 0.85))
    crown = any_paint(rng) if helmet else (90, 62, 44)
    pen.disc((shoulder[0] + 0.07, shoulder[1] + 0.14), 0.1, (204, 160, 130))
    pen.disc((shoulder[0] + 0.06, shoulder[1] + 0.16), 0.105 if helmet else 0.09, crown, flat=0.8)


def any_paint(rng: np.random.Generator) -> Colour:
    """A paint: mostly strong colours, now and then black, white or silver."""
    if rng.random() < 0.3:
        grey = int(rng.choice([24, 60, 150, 225]))
        return grey, grey, grey
    base = np.array([rng.uniform(130, 240), rng.uniform(20, 150), rng.uniform(10, 110)])
    red, green, blue = (int(v) for v in rng.permutation(base))
    return red, green, blue


def shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, int(v * factor)) for v in colour)
    return red, green, blue


def _circle(
    centre: Point, radius: float, start: float = 0.0, end: float = 1.0, flat: float = 1.0
) -> list[Point]:
    """An arc from `start` to `end` in turns, the whole circle by default."""
    angles = [2 * math.pi * (start + (end - start) * i / 29) for i in range(30)]
    x, y = centre
    return [(x + radius * math.cos(t), y + radius * flat * math.sin(t)) for t in angles]


def _between(start: Point, end: Point, share: float) -> Point:
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
