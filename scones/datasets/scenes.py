"""A 32×32 photograph that never was: background, vehicle, what stands in the way, camera.

Everything is drawn at `OVERSAMPLE` times the size and averaged down, as a sensor does, because at
32×32 a spoke is thinner than a pixel. What makes the two classes hard to tell apart is what makes
it hard in real photographs: small and cropped vehicles, clutter, riders, low contrast, blur, noise.
"""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from scones.datasets.vehicles import Pen, any_paint, bicycle, motorcycle, rider, shade

SIDE = 32
OVERSAMPLE = 4
CANVAS = SIDE * OVERSAMPLE

VEHICLES = {"bicycle": bicycle, "motorcycle": motorcycle}


def draw(vehicle: str, rng: np.random.Generator) -> np.ndarray:
    """One image of a "bicycle" or a "motorcycle": uint8, (32, 32, 3), row by row, RGB."""
    canvas = _background(rng)
    matrix = _pose(rng)
    if rng.random() < 0.7:
        _shadow(canvas, matrix, rng)
    pen = Pen(canvas, matrix)
    VEHICLES[vehicle](pen, rng)
    if rng.random() < 0.25:
        rider(pen, rng, helmet=bool(rng.random() < (0.85 if vehicle == "motorcycle" else 0.5)))
    if rng.random() < 0.45:
        _foreground(canvas, rng)
    return _photograph(canvas, rng)


def _pose(rng: np.random.Generator) -> np.ndarray:
    """The affine map from a vehicle's coordinates to the canvas: where, how large, seen from where.

    Seen obliquely a vehicle is shorter, and its far end stands a little higher.
    """
    length = CANVAS * rng.uniform(0.36, 0.64)
    oblique = rng.uniform(0.0, 0.95) ** 2
    lean = math.radians(rng.normal(0, 5))
    turn = np.array([[math.cos(lean), -math.sin(lean)], [math.sin(lean), math.cos(lean)]])
    squeeze = np.array([[1 - 0.55 * oblique, 0.0], [0.16 * oblique * rng.choice([-1, 1]), 1.0]])
    mirror = np.diag([rng.choice([-1.0, 1.0]), -1.0])
    linear = length * mirror @ turn @ squeeze
    middle = CANVAS * (0.5 + rng.normal(0, [0.05, 0.05]))
    return np.column_stack([linear, middle - linear @ np.array([0.5, 0.17])])


def _background(rng: np.random.Generator) -> Image.Image:
    kind = rng.choice(["studio", "road", "wall", "green", "haze"], p=[0.3, 0.25, 0.15, 0.15, 0.15])
    if kind == "studio":
        return _studio(rng)
    if kind == "haze":
        return _blend(_any_tone(rng), _any_tone(rng), rng, rough=rng.uniform(4, 26))
    if kind == "green":
        return _blend((130, 160, 98), (78, 116, 56), rng, rough=rng.uniform(6, 26))
    if kind == "road":
        canvas = _blend((160, 190, 222), (205, 212, 220), rng, rough=14)
        ground = _blend((120, 118, 116), (92, 90, 90), rng, rough=16)
    else:
        canvas = _blend(_any_tone(rng), _any_tone(rng), rng, rough=12)
        ground = _blend((150, 142, 130), (110, 104, 98), rng, rough=18)
        _bricks(canvas, rng)
    _clutter(canvas, rng)
    horizon = int(CANVAS * rng.uniform(0.42, 0.8))
    canvas.paste(ground.crop((0, 0, CANVAS, CANVAS - horizon)), (0, horizon))
    return canvas


def _studio(rng: np.random.Generator) -> Image.Image:
    """The plain backdrop of a catalogue: mostly white, at times grey, black or coloured."""
    tone = rng.choice(["white", "grey", "black", "colour"], p=[0.6, 0.2, 0.08, 0.12])
    plain = {"white": (250, 250, 250), "grey": (190, 190, 186), "black": (14, 14, 16)}
    colour = plain.get(str(tone)) or any_paint(rng)
    return _blend(colour, shade(colour, rng.uniform(0.85, 1.0)), rng, rough=2)


def _blend(
    top: tuple[int, int, int], bottom: tuple[int, int, int], rng: np.random.Generator, rough: float
) -> Image.Image:
    """From one colour to another, top to bottom, with blotches `rough` levels deep."""
    cells = int(rng.integers(6, 24))
    share = np.linspace(0, 1, cells)[:, None, None]
    tones = np.array(top) * (1 - share) + np.array(bottom) * share
    blotches = rng.normal(0, 1, (cells, cells, 1)) + 0.3 * rng.normal(0, 1, (cells, cells, 3))
    pixels = np.clip(tones + rng.normal(0, 8, 3) + rough * blotches, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((CANVAS, CANVAS), Image.Resampling.BICUBIC)


def _bricks(canvas: Image.Image, rng: np.random.Generator) -> None:
    pen = ImageDraw.Draw(canvas)
    course = int(rng.integers(10, 22))
    mortar = _any_tone(rng)
    for row, y in enumerate(range(0, CANVAS, course)):
        pen.line([(0, y), (CANVAS, y)], fill=mortar, width=2)
        for x in range(course * (row % 2), CANVAS, course * 2):
            pen.line([(x, y), (x, y + course)], fill=mortar, width=2)


def _clutter(canvas: Image.Image, rng: np.random.Generator) -> None:
    """What stands behind: posts, trees and boxes, and round things that are no wheels."""
    pen = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(0, 5)):
        x, y = rng.uniform(0, CANVAS, 2)
        width, height = CANVAS * rng.uniform(0.03, 0.3), CANVAS * rng.uniform(0.15, 0.6)
        box = [x, y, x + width, y + height]
        tone = _any_tone(rng)
        if rng.random() < 0.6:
            pen.rectangle(box, fill=tone)
        elif rng.random() < 0.6:
            pen.ellipse([x, y, x + height, y + height], fill=tone)
        else:
            pen.ellipse([x, y, x + height, y + height], outline=tone, width=int(rng.integers(2, 9)))


def _shadow(canvas: Image.Image, matrix: np.ndarray, rng: np.random.Generator) -> None:
    (x0, y0), (x1, y1) = (
        matrix[:, :2] @ np.array([end, -0.34]) + matrix[:, 2] for end in (-0.1, 1.1)
    )
    thick = CANVAS * rng.uniform(0.015, 0.05)
    mask = Image.new("L", canvas.size, 0)
    box = [min(x0, x1), min(y0, y1) - thick, max(x0, x1), max(y0, y1) + thick]
    ImageDraw.Draw(mask).ellipse(box, fill=int(rng.integers(60, 170)))
    canvas.paste((20, 20, 24), mask=mask)


def _foreground(canvas: Image.Image, rng: np.random.Generator) -> None:
    """What stands in the way: blades of grass, a post, or a leafy blob at the edge."""
    pen = ImageDraw.Draw(canvas)
    kind = rng.choice(["grass", "post", "blob"])
    if kind == "grass":
        for _ in range(rng.integers(25, 60)):
            x, height = rng.uniform(0, CANVAS), CANVAS * rng.uniform(0.08, 0.3)
            tone = (
                int(rng.integers(40, 110)),
                int(rng.integers(90, 160)),
                int(rng.integers(20, 70)),
            )
            pen.line([(x, CANVAS), (x + rng.normal(0, 8), CANVAS - height)], fill=tone, width=3)
    elif kind == "post":
        x, width = rng.uniform(0, CANVAS), CANVAS * rng.uniform(0.03, 0.09)
        pen.rectangle([x, 0, x + width, CANVAS], fill=_any_tone(rng))
    else:
        radius = CANVAS * rng.uniform(0.1, 0.24)
        x, y = rng.choice([0.12, 0.88], 2) * CANVAS
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=_any_tone(rng))


def _photograph(canvas: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """The camera: lens and movement blur, exposure, colour of the light, a side light, noise."""
    image = canvas.reduce(OVERSAMPLE)
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.1)))
    pixels = np.asarray(image, dtype=np.float64)
    if rng.random() < 0.1:
        pixels = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    slope = rng.normal(0, 0.15, 2)
    ramp = np.linspace(-0.5, 0.5, SIDE)
    light = 1 + slope[0] * ramp[:, None, None] + slope[1] * ramp[None, :, None]
    contrast, exposure = rng.uniform(0.55, 1.15), rng.normal(0, 12)
    pixels = (pixels - 128) * contrast + 128 + exposure
    pixels = pixels * light * rng.normal(1, 0.03, 3) + rng.normal(
        0, rng.uniform(1, 10), pixels.shape
    )
    developed: np.ndarray = np.clip(pixels.round(), 0, 255).astype(np.uint8)
    return developed


def _any_tone(rng: np.random.Generator) -> tuple[int, int, int]:
    """A dull colour of walls, trees and pavements."""
    grey = rng.uniform(50, 215)
    red, green, blue = (int(np.clip(grey + tint, 0, 255)) for tint in rng.normal(0, 22, 3))
    return red, green, blue
