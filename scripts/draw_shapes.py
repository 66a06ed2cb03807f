"""Draws the harder demo data set: twelve kinds of counters that differ only in a detail.

    python scripts/draw_shapes.py                                             # data/shapes, 30 of each
    python scripts/draw_shapes.py --out data/shapes_unseen --seed 2029 --count 15

The same seed gives the same bytes with the same versions of the libraries: the pictures in data/ were drawn with numpy 2.4.6 and
Pillow 13.0.0. Each picture has its own random generator, seeded with (seed, class, index).

A counter is a disc with notches in its rim and a hole. Its class is the number of notches, two, four or seven, and the form of the hole:
a cross, round, square or triangular. All else is drawn by lot, from the same distributions for every class: where it lies and how it is turned, its size, how
far it is tilted, its colours, the ground it lies on, what else lies there, light, blur and noise.
"""

from __future__ import annotations

import argparse
import colorsys
import io
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 144  # pixels of a picture
FINER = 4  # drawn so many times larger, then reduced
NOTCHES = (2, 4, 7)
HOLES = ("cross", "round", "square", "triangular")
JPEG_QUALITY = 72


def colour(rng: np.random.Generator, lightness: tuple[float, float], saturation: tuple[float, float]) -> tuple[int, ...]:
    parts = colorsys.hls_to_rgb(rng.random(), rng.uniform(*lightness), rng.uniform(*saturation))
    return tuple(round(255 * part) for part in parts)


def shade(of: tuple[int, ...], factor: float) -> tuple[int, ...]:
    return tuple(min(255, round(part * factor)) for part in of)


def rotation(angle: float) -> np.ndarray:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


class Placement:
    """Where a counter lies: from its own plane, radius 1, to the picture."""

    def __init__(self, rng: np.random.Generator, radius: float, centre: np.ndarray):
        turn, lean = rng.uniform(0, 2 * math.pi, 2)
        tilt = rng.uniform(0.86, 1)
        self.matrix = radius * rotation(lean) @ np.diag([1, tilt]) @ rotation(turn)
        self.centre = centre

    def __call__(self, points: np.ndarray) -> list[tuple[float, float]]:
        return [tuple(p) for p in points @ self.matrix.T + self.centre]


def polar(angles: np.ndarray, radii: np.ndarray) -> np.ndarray:
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)


def to_polar(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.arctan2(points[:, 1], points[:, 0]), np.hypot(points[:, 0], points[:, 1])


def rim(rng: np.random.Generator, notches: int) -> np.ndarray:
    """The outline: a circle with notches, evenly set but for a little."""
    angles = np.linspace(0, 2 * math.pi, 720, endpoint=False)
    radii = np.ones_like(angles)
    width, depth = rng.uniform(0.15, 0.21), rng.uniform(0.22, 0.30)
    places = 2 * math.pi * (np.arange(notches) + rng.uniform(-0.06, 0.06, notches)) / notches
    for place in places:
        away = np.abs((angles - place + math.pi) % (2 * math.pi) - math.pi)
        radii = np.where(away < width, 1 - depth, radii)
    return polar(angles, radii)


def hole(rng: np.random.Generator, form: str) -> np.ndarray:
    """Of a like size whatever its form, off the middle by a little, turned by lot."""
    area = rng.uniform(0.28, 0.45)
    turn = rng.uniform(0, 2 * math.pi)
    if form == "cross":
        # Four times the end of an arm and the corner behind it.
        tip, arm = math.sqrt(area) * 0.86, math.sqrt(area) * 0.27
        angles, radii = to_polar(np.array([(tip, -arm), (tip, arm), (arm, arm)]))
        angles = (angles + turn + 0.5 * math.pi * np.arange(4)[:, None]).ravel()
        points = polar(angles, np.tile(radii, 4))
    else:
        corners = {"round": 90, "square": 4, "triangular": 3}[form]
        angles = turn + 2 * math.pi * np.arange(corners) / corners
        points = polar(angles, np.full(corners, math.sqrt(area / (0.5 * corners * math.sin(2 * math.pi / corners)))))
    return points + rng.uniform(-0.08, 0.08, 2)


def ground(rng: np.random.Generator, side: int) -> Image.Image:
    """A colour that fades into another, with grain as of cloth, stone or wood."""
    a, b = (np.array(colour(rng, (0.25, 0.8), (0.05, 0.5)), float) for _ in range(2))
    direction = rng.uniform(0, 2 * math.pi)
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    part = (0.5 + x * math.cos(direction) + y * math.sin(direction)).clip(0, 1)[..., None]
    pixels = a + (b - a) * part * rng.uniform(0.2, 1)
    cells = rng.integers(3, 14, 2)
    grain = Image.fromarray((rng.random(cells) * 255).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    pixels += (np.asarray(grain, float)[..., None] - 128) * rng.uniform(0.05, 0.3)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def litter(pencil: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    """What else lies there: straws, crumbs, scraps of paper with corners like those of the holes."""
    for _ in range(rng.integers(3, 8)):
        x, y = rng.uniform(0, side, 2)
        length, turn = side * rng.uniform(0.04, 0.16), rng.uniform(0, 2 * math.pi)
        ink = colour(rng, (0.2, 0.85), (0.1, 0.8))
        match rng.integers(3):
            case 0:
                end = (x + 3 * length * math.cos(turn), y + 3 * length * math.sin(turn))
                pencil.line([(x, y), end], fill=ink, width=round(side * rng.uniform(0.006, 0.02)))
            case 1:
                angles = turn + 2 * math.pi * np.arange(90) / 90
                pencil.polygon([tuple(p) for p in polar(angles, np.full(90, length / 2)) + (x, y)], fill=ink)
            case _:
                corners = rng.integers(3, 5)
                angles = turn + 2 * math.pi * np.arange(corners) / corners
                pencil.polygon([tuple(p) for p in polar(angles, np.full(corners, length * 0.6)) + (x, y)], fill=ink)


def contrast(a: tuple[int, ...], b: np.ndarray) -> float:
    return float(np.abs(np.array(a, float) - b).max())


def draw_picture(seed: int, kind: int, index: int) -> Image.Image:
    rng = np.random.default_rng([seed, kind, index])
    notches, form = NOTCHES[kind % len(NOTCHES)], HOLES[kind // len(NOTCHES)]
    side = SIDE * FINER
    picture = ground(rng, side)
    litter(ImageDraw.Draw(picture), rng, side)

    radius = side * rng.uniform(0.29, 0.43)
    centre = side / 2 + rng.uniform(-1, 1, 2) * (side / 2 - radius) * 0.8
    place = Placement(rng, radius, centre)
    # What shows through the hole and beside the rim is the ground, so the counter must differ from it.
    around = np.asarray(picture.resize((1, 1), Image.Resampling.BOX), float).reshape(3)
    inks = [colour(rng, (0.2, 0.85), (0.15, 0.9)) for _ in range(8)]
    ink = next((ink for ink in inks if contrast(ink, around) > 70), max(inks, key=lambda ink: contrast(ink, around)))

    outline, opening = rim(rng, notches), hole(rng, form)
    mask = Image.new("L", (side, side))
    pencil = ImageDraw.Draw(mask)
    pencil.polygon(place(outline), fill=255)
    pencil.polygon(place(opening), fill=0)
    light = rng.uniform(0, 2 * math.pi)
    towards = np.array([math.cos(light), math.sin(light)])
    # A shadow on the ground, then the counter with its light.
    shadow = mask.filter(ImageFilter.GaussianBlur(side * rng.uniform(0.004, 0.014)))
    moved = Image.new("L", (side, side))
    moved.paste(shadow, tuple(int(step) for step in -towards * side * rng.uniform(0.008, 0.02)))
    picture.paste((0, 0, 0), mask=moved.point(lambda level: int(level * 0.45)))
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    glow = 1 + rng.uniform(0.1, 0.5) * (x * towards[0] + y * towards[1])
    face = np.asarray(Image.new("RGB", (side, side), ink), float) * glow[..., None]
    face += (rng.random((side // 8, side // 8, 1)).repeat(8, 0).repeat(8, 1) - 0.5) * rng.uniform(0, 24)
    picture.paste(Image.fromarray(face.clip(0, 255).astype(np.uint8)), mask=mask)
    # A dot or two that tell nothing, so that not every edge is one that counts.
    pencil = ImageDraw.Draw(picture)
    marks = shade(ink, rng.choice((0.72, 1.3)))
    for _ in range(rng.integers(0, 3)):
        spot = polar(np.array([rng.uniform(0, 2 * math.pi)]), np.array([rng.uniform(0.62, 0.74)]))[0]
        dot = polar(2 * math.pi * np.arange(60) / 60, np.full(60, rng.uniform(0.04, 0.08))) + spot
        pencil.polygon(place(dot), fill=marks)
    # Something may lie on it.
    if rng.random() < 0.2:
        turn = rng.uniform(0, math.pi)
        across = np.array([math.cos(turn), math.sin(turn)])
        middle = centre + rng.uniform(-0.9, 0.9, 2) * radius
        ends = [tuple(middle + across * radius * reach) for reach in (-1.2, 1.2)]
        pencil.line(ends, fill=colour(rng, (0.2, 0.85), (0.1, 0.8)), width=round(side * rng.uniform(0.006, 0.014)))
    return develop(picture, rng)


def develop(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """What lens and film do to the drawing."""
    small = picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    small = small.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.7)))
    pixels = np.asarray(small, float) * rng.uniform(0.75, 1.2) + rng.normal(0, rng.uniform(1, 5), (SIDE, SIDE, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def name(kind: int) -> str:
    return f"{HOLES[kind // len(NOTCHES)]}_{NOTCHES[kind % len(NOTCHES)]}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw counters that differ in a detail.")
    parser.add_argument("--out", type=Path, default=Path("data/shapes"), help="folder to write to")
    parser.add_argument("--seed", type=int, default=2028)
    parser.add_argument("--count", type=int, default=30, help="pictures a class")
    options = parser.parse_args()
    for kind in range(len(NOTCHES) * len(HOLES)):
        folder = options.out / name(kind)
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(options.count):
            buffer = io.BytesIO()
            draw_picture(options.seed, kind, index).save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
            (folder / f"{index:03}.jpg").write_bytes(buffer.getvalue())


if __name__ == "__main__":
    main()
