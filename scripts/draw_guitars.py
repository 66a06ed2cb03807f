#!/usr/bin/env python3
"""Draw a demo data set: three classes of electric guitars, from a seed.

    python scripts/draw_guitars.py --out data/guitars --seed 2026 --count 40

writes <out>/{stratocaster,les_paul,sg}/000.jpg .. 039.jpg, small portrait (and
a few landscape) pictures. Nothing is borrowed: every outline below is a handful
of named Bezier nodes in millimetres, and everything else is derived from them.

The classes differ in *shape and fittings*. Finish, background, light, framing
and camera are drawn from one common distribution (with only a mild preference
per class), so that a classifier which looks at colour alone does not get far.

Each picture has its own random generator, seeded with (seed, class, index):
a larger --count adds pictures and leaves the earlier ones as they were.

The same seed gives the same bytes with the same versions of the libraries.
The pictures in data/guitars were drawn with Python 3.11.7 and

    skia-python 144.1, numpy 2.4.6, pillow 13.0.0
    pip install skia-python numpy pillow

Coordinates: a guitar stands upright, seen from the front, y points up to the
headstock, x to the treble side, the origin is the bottom of the body on the
centre line. One unit is one millimetre. A headstock has its origin at the nut.
"""

from __future__ import annotations

import argparse
import io
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import skia
from PIL import Image, ImageDraw, ImageFilter, ImageFont

# Pictures are drawn this many times larger and then reduced: strings and frets
# are thinner than a pixel, and plain anti-aliasing would let them flicker.
SUPERSAMPLING = 3
JPEG_QUALITY = 85
MAX_BYTES = 20_000

Point = tuple[float, float]


# --------------------------------------------------------------------------
# Outlines: named nodes, joined by cubic Beziers
# --------------------------------------------------------------------------

@dataclass(frozen=True)
class Node:
    """A point of an outline, the direction in which the curve passes it, and
    the lengths of its two Bezier handles.

    Headings are in degrees: 0 is to the treble side, 90 up to the headstock.
    A node with `leaving` is a corner: the curve arrives with `heading` and
    departs with `leaving`.
    """
    name: str
    x: float
    y: float
    heading: float
    arm_in: float
    arm_out: float
    leaving: float | None = None

    def handle_in(self) -> Point:
        a = math.radians(self.heading)
        return self.x - self.arm_in * math.cos(a), self.y - self.arm_in * math.sin(a)

    def handle_out(self) -> Point:
        a = math.radians(self.heading if self.leaving is None else self.leaving)
        return self.x + self.arm_out * math.cos(a), self.y + self.arm_out * math.sin(a)

    def mirrored(self) -> Node:
        """The same node on the other side, passed in the opposite sense, so
        that a mirrored half continues the path clockwise."""
        arriving = self.heading if self.leaving is None else self.leaving
        return Node(self.name + "'", -self.x, self.y, -arriving, self.arm_out, self.arm_in,
                    None if self.leaving is None else -self.heading)


Outline = tuple[Node, ...]


def symmetric(*bass_half: Node) -> Outline:
    """Bass side as given, treble side as its mirror image. Nodes on the centre
    line are not repeated."""
    return bass_half + tuple(n.mirrored() for n in reversed(bass_half) if abs(n.x) > 0.01)


# All bodies start at the bottom and run clockwise: up the bass side (left),
# under the neck, and down the treble side.

STRATOCASTER_BODY: Outline = (
    Node("bottom",             0,   0, 180, 92, 94),
    Node("lower bout bass", -162, 124,  90, 74, 72),
    Node("waist bass",      -118, 262,  90, 40, 36),
    Node("upper bout bass", -148, 372,  88, 42, 52),
    Node("bass horn",       -107, 464, -14, 24, 20),
    Node("bass cutaway",     -27, 366,  -8, 44,  0, leaving=-90),
    Node("treble cutaway",    27, 353,   0,  0, 34, leaving=-50),
    Node("treble horn",      101, 413,  -2, 20, 23),
    Node("upper bout treble", 138, 336, 270, 46, 36),
    Node("waist treble",     112, 238, 270, 34, 44),
    Node("lower bout treble", 163, 110, 270, 70, 62),
)

LES_PAUL_BODY: Outline = (
    Node("bottom",             0,   0, 180, 94, 94),
    Node("lower bout bass", -165, 130,  90, 74, 78),
    Node("waist bass",      -106, 262,  90, 34, 24),
    Node("upper bout bass", -119, 338,  90, 30, 44),
    Node("bass shoulder",    -24, 413,   6, 58,  0, leaving=-90),
    Node("treble cutaway",    25, 338, -30,  0, 30),
    Node("treble horn",       76, 384,  24, 14, 24),
    Node("upper bout treble", 118, 328, 270, 38, 26),
    Node("waist treble",     106, 260, 270, 24, 36),
    Node("lower bout treble", 165, 128, 270, 76, 73),
)

SG_BODY: Outline = (
    Node("bottom",             0,   0, 180, 92, 92),
    Node("lower bout bass", -164, 124,  90, 72, 70),
    Node("waist bass",      -110, 252,  90, 36, 30),
    Node("upper bout bass", -138, 338,  90, 36, 34),
    Node("bass horn",       -104, 420,  50, 22, 48, leaving=-84),
    Node("bass cutaway",     -26, 325,   9, 56,  0, leaving=-90),
    Node("treble cutaway",    26, 323,   0,  0, 56, leaving=-16),
    Node("treble horn",      102, 410,  84, 48, 22, leaving=-50),
    Node("upper bout treble", 135, 328, 270, 34, 36),
    Node("waist treble",     107, 244, 270, 30, 36),
    Node("lower bout treble", 162, 119, 270, 70, 70),
)

# The flat face of an SG. What lies between it and the body's outline is the
# bevel: wide at the horns, a sliver elsewhere.
SG_FACE: Outline = (
    Node("bottom",             0,   6, 180, 90, 90),
    Node("lower bout bass", -157, 124,  90, 70, 70),
    Node("waist bass",      -100, 254,  90, 36, 30),
    Node("upper bout bass", -117, 334,  88, 32, 16),
    Node("bass horn",       -102, 383,  66, 16, 40, leaving=-80),
    Node("bass cutaway",     -24, 298,   6, 54,  0, leaving=-90),
    Node("treble cutaway",    24, 293,   0,  0, 54, leaving=-12),
    Node("treble horn",      100, 373,  80, 40, 16, leaving=-66),
    Node("upper bout treble", 114, 324, 272, 16, 32),
    Node("waist treble",      97, 246, 270, 30, 36),
    Node("lower bout treble", 155, 119, 270, 70, 68),
)

STRATOCASTER_GUARD: Outline = (
    Node("bridge bass",      -46, 196, 180,  0, 12, leaving=150),
    Node("bass edge",        -86, 288,  94, 50, 48),
    Node("bass horn",        -97, 411,  50, 26, 10),
    Node("bass cutaway",     -34, 350, -10, 44,  4, leaving=-20),
    Node("treble cutaway",    30, 342,   0,  0, 32, leaving=-46),
    Node("treble horn",       94, 384,  10, 17, 14),
    Node("treble edge",      114, 330, 268, 28, 40),
    Node("waist treble",      99, 236, 270, 32, 40),
    Node("control lobe",     126, 134, 272, 40, 26),
    Node("control tip",      102,  88, 190, 20, 18),
    Node("bridge treble",     46, 164,  95, 40,  0, leaving=90),
    Node("bridge corner",     46, 196,  90,  0,  0, leaving=180),
)

LES_PAUL_GUARD: Outline = (
    Node("neck corner",       24, 344,   0,  0,  0, leaving=-30),
    Node("cutaway corner",    62, 322, -30, 14, 12),
    Node("outer edge",        84, 254, 268, 34, 34),
    Node("tip",               60, 166, 220, 20,  4, leaving=180),
    Node("bridge corner",     40, 168, 180,  2,  0, leaving=90),
)

SG_HALF_GUARD: Outline = (
    Node("neck corner",      -30, 315,   0,  0,  0, leaving=0),
    Node("top",               34, 300,   0, 10, 22),
    Node("horn",              98, 332,  20, 22,  6),
    Node("outer edge",        98, 288, 262, 14, 30),
    Node("waist",             70, 214, 255, 30, 20),
    Node("tip",               52, 162, 215, 14,  4, leaving=180),
    Node("bridge corner",     34, 164, 180,  2,  0, leaving=90),
    Node("inner edge",        32, 262,  90,  0,  0, leaving=180),
    Node("neck pickup",      -48, 262, 180,  0,  0, leaving=120),
    Node("bass corner",      -46, 300,  60, 14,  8),
)

SG_BATWING_GUARD: Outline = (
    Node("bridge bass",      -44, 164, 180,  0, 12, leaving=140),
    Node("waist bass",       -70, 222, 100, 22, 26),
    Node("outer edge bass",  -98, 300,  97, 26, 10),
    Node("bass wing",        -98, 342,  60,  8,  6),
    Node("bass cutaway",     -34, 302,   0, 28,  4, leaving=0),
    Node("treble cutaway",    34, 296,   0,  4, 28),
    Node("treble wing",       97, 334, -10,  8,  6),
    Node("outer edge treble", 97, 296, 264, 10, 28),
    Node("waist treble",      70, 220, 258, 26, 22),
    Node("bridge treble",     44, 164, 220, 12,  0, leaving=180),
)

# Six tuners in line, a straight edge that leans with the strings, and the
# scroll with its ball at the end.
FENDER_HEADSTOCK: Outline = (
    Node("nut bass",      -21,   0,  90,  0, 10, leaving=135),
    Node("bass shoulder", -39,  22,  78, 13, 44),
    Node("bass edge",      -8, 165,  78, 44, 17),
    Node("tip",            21, 197,   0, 18, 17),
    Node("ball",           52, 170, 270, 15, 15),
    Node("notch",          34, 143, 196, 10, 32, leaving=246),
    Node("lump",           52,  42, 270, 34, 21),
    Node("nut treble",     21,   0, 222, 16,  0, leaving=180),
)

# Three tuners a side, widening upward, the top an open book.
GIBSON_HEADSTOCK: Outline = symmetric(
    Node("nut",      -21.5,   0,  90,  0, 16, leaving=92),
    Node("shoulder", -35.0,  44,  94, 22, 30),
    Node("corner",   -42.5, 162,  94, 30, 12, leaving=16),
    Node("hump",     -17.0, 184,   0, 13,  9),
    Node("valley",     0.0, 175, -50,  6,  6, leaving=50),
)


@dataclass(frozen=True)
class Warp:
    """The small difference between two bodies of one model: each side a little
    wider or narrower, the bouts a little higher or lower, the horns a little
    longer or shorter. A smooth field, so that body, bevel and pickguard bend
    together; nothing moves on the centre line, where the strings run."""
    bass: float = 0.0
    treble: float = 0.0
    ripple: float = 0.0
    phase: float = 0.0
    tilt: float = 0.0
    bass_horn: float = 0.0
    treble_horn: float = 0.0

    @staticmethod
    def random(rng: np.random.Generator) -> Warp:
        return Warp(*(rng.normal(0, 0.018, 2)), abs(rng.normal(0, 0.014)), rng.uniform(0, 6.28),
                    rng.normal(0, 3.0), *rng.normal(0, 4.5, 2))

    def __call__(self, x: float, y: float) -> Point:
        treble_side = 0.5 + 0.5 * math.tanh(x / 30)
        width = 1 + self.bass + (self.treble - self.bass) * treble_side
        width += self.ripple * math.sin(y / 55 + self.phase)
        off_centre = min(abs(x) / 120, 1.0) ** 2
        horn = self.bass_horn + (self.treble_horn - self.bass_horn) * treble_side
        horn *= min(max((y - 330) / 80, 0.0), 1.0)
        return x * width, y + off_centre * (horn + math.copysign(self.tilt, x))


def trace(outline: Outline, warp: Warp = Warp(), origin: Point = (0, 0)) -> skia.Path:
    """The closed path through an outline's nodes."""
    def at(point: Point) -> Point:
        x, y = warp(*point)
        return x + origin[0], y + origin[1]

    path = skia.Path()
    path.moveTo(*at((outline[0].x, outline[0].y)))
    for a, b in zip(outline, outline[1:] + outline[:1]):
        path.cubicTo(*at(a.handle_out()), *at(b.handle_in()), *at((b.x, b.y)))
    path.close()
    return path


# --------------------------------------------------------------------------
# The three models
# --------------------------------------------------------------------------

@dataclass(frozen=True)
class Pickup:
    kind: str            # "single" or "humbucker"
    y: float
    slant: float = 0.0   # degrees, counter-clockwise


@dataclass(frozen=True)
class Model:
    """Everything that makes a class: outlines, measures, fittings and the
    choices a maker would offer. Positions are in millimetres on the body."""
    folder: str
    label: str
    body: Outline
    headstock: Outline
    tuner_posts: tuple[Point, ...]      # low E to high e, from the nut
    tuner_buttons: tuple[tuple[float, float, float], ...]  # x, y, angle
    scale_length: float
    bridge_y: float
    frets: int
    pickups: tuple[Pickup, ...]
    bridge: str                         # "tremolo" or "tune-o-matic"
    knobs: tuple[Point, ...]
    knob_styles: tuple[str, ...]
    switch: Point
    switch_style: str                   # "blade" or "toggle"
    jack: Point | None                  # None: on the rim, out of sight
    strap_button: Point | None          # the upper one; None: on the back
    guards: tuple[tuple[Outline | None, float], ...]       # choice, weight
    guard_colours: tuple[tuple[str, float], ...]
    boards: tuple[tuple[str, float], ...]
    inlays: tuple[tuple[str, float], ...]
    neck_wood: str
    head_face: str                      # "neck" wood or "black" veneer
    body_binding: bool = False
    board_binding: bool = False
    carved_top: bool = False
    arm_contour: bool = False
    face: Outline | None = None         # flat face inside a bevel
    favours: dict[str, float] = field(default_factory=dict)

    @property
    def nut_y(self) -> float:
        return self.bridge_y + self.scale_length

    def fret_y(self, n: float) -> float:
        return self.nut_y - self.scale_length * (1 - 2 ** (-n / 12))

    @property
    def board_end_y(self) -> float:
        return self.fret_y(self.frets) - 5


GIBSON_POSTS = ((-20, 46), (-22, 86), (-24, 126), (24, 126), (22, 86), (20, 46))
GIBSON_BUTTONS = tuple((s * (48 + 0.055 * y), y, 90 - s * 90)
                       for s, y in ((-1, 46), (-1, 86), (-1, 126), (1, 126), (1, 86), (1, 46)))
CREAM_OR_BLACK = (("cream", 0.6), ("black", 0.4))

STRATOCASTER = Model(
    folder="stratocaster", label="Stratocaster",
    body=STRATOCASTER_BODY, headstock=FENDER_HEADSTOCK,
    tuner_posts=tuple((-17.5 + 7 * i, 33 + 25.5 * i) for i in range(6)),
    tuner_buttons=tuple((-51 + 5.6 * i, 36 + 25.5 * i, 168) for i in range(6)),
    scale_length=648, bridge_y=166, frets=21,
    pickups=(Pickup("single", 336), Pickup("single", 275), Pickup("single", 218, slant=-10)),
    bridge="tremolo",
    knobs=((72, 198), (92, 153), (102, 110)), knob_styles=("white", "white", "cream", "black"),
    switch=(82, 232), switch_style="blade",
    jack=(123, 60), strap_button=(-118, 466),
    guards=((STRATOCASTER_GUARD, 1.0),),
    guard_colours=(("white", 0.42), ("mint", 0.2), ("tortoise", 0.2), ("black", 0.1), ("cream", 0.08)),
    boards=(("maple", 0.5), ("rosewood", 0.5)), inlays=(("dots", 1.0),),
    neck_wood="#d9a763", head_face="neck", arm_contour=True,
    favours={"sea green": 1.6, "white": 1.3},
)

LES_PAUL = Model(
    folder="les_paul", label="Les Paul",
    body=LES_PAUL_BODY, headstock=GIBSON_HEADSTOCK,
    tuner_posts=GIBSON_POSTS, tuner_buttons=GIBSON_BUTTONS,
    scale_length=628, bridge_y=162, frets=22,
    pickups=(Pickup("humbucker", 309), Pickup("humbucker", 200)),
    bridge="tune-o-matic",
    knobs=((84, 158), (126, 140), (70, 98), (112, 78)), knob_styles=("amber", "black", "amber", "gold"),
    switch=(-76, 350), switch_style="toggle",
    jack=None, strap_button=(-82, 396),
    guards=((LES_PAUL_GUARD, 0.8), (None, 0.2)), guard_colours=CREAM_OR_BLACK,
    boards=(("rosewood", 0.8), ("ebony", 0.2)), inlays=(("trapezoids", 0.85), ("dots", 0.15)),
    neck_wood="#7a3c20", head_face="black",
    body_binding=True, board_binding=True, carved_top=True,
    favours={"gold": 1.6, "cherry burst": 1.3},
)

SG = Model(
    folder="sg", label="SG",
    body=SG_BODY, headstock=GIBSON_HEADSTOCK, face=SG_FACE,
    tuner_posts=GIBSON_POSTS, tuner_buttons=GIBSON_BUTTONS,
    scale_length=628, bridge_y=150, frets=22,
    pickups=(Pickup("humbucker", 288), Pickup("humbucker", 188)),
    bridge="tune-o-matic",
    knobs=((74, 134), (112, 116), (72, 88), (108, 68)), knob_styles=("black", "black", "amber", "gold"),
    switch=(126, 160), switch_style="toggle",
    jack=(74, 44), strap_button=None,
    guards=((SG_HALF_GUARD, 0.5), (SG_BATWING_GUARD, 0.5)),
    guard_colours=(("black", 0.75), ("white", 0.25)),
    boards=(("rosewood", 0.85), ("ebony", 0.15)), inlays=(("trapezoids", 0.7), ("dots", 0.3)),
    neck_wood="#6d2a1a", head_face="black", board_binding=True,
    favours={"cherry red": 2.2, "walnut": 1.3},
)

MODELS = (STRATOCASTER, LES_PAUL, SG)


# --------------------------------------------------------------------------
# Colours
# --------------------------------------------------------------------------

@dataclass(frozen=True)
class Finish:
    """`layers` run from the middle of the body to its edge: one colour is a
    plain finish, two or three are a sunburst."""
    name: str
    weight: float
    layers: tuple[str, ...]
    grain: float = 0.0      # how much of the wood shows through
    metallic: bool = False


FINISHES = (
    Finish("cherry burst",  1.3, ("#eaa63f", "#c04a1d", "#6b1210"), grain=0.5),
    Finish("tobacco burst", 1.3, ("#e0a046", "#80401a", "#1b0e08"), grain=0.5),
    Finish("honey burst",   0.8, ("#efbd58", "#d68a2c", "#97470f"), grain=0.6),
    Finish("two-tone",      0.5, ("#dba552", "#15100d"), grain=0.6),
    Finish("cherry red",    1.3, ("#a01a1c",), grain=0.45),
    Finish("bright red",    0.9, ("#c42a1f",)),
    Finish("wine",          0.6, ("#611020",), grain=0.25),
    Finish("black",         1.4, ("#17171a",)),
    Finish("white",         1.3, ("#efe9d8",)),
    Finish("gold",          0.8, ("#c39c4b",), metallic=True),
    Finish("walnut",        0.8, ("#5d3820",), grain=0.8),
    Finish("natural",       0.5, ("#d2a362",), grain=0.9),
    Finish("ocean blue",    0.7, ("#3c76a6",), metallic=True),
    Finish("sea green",     0.5, ("#93c4ae",)),
)

PLASTIC = {"white": "#f2efe6", "cream": "#e9d9ae", "mint": "#d3e2cd", "black": "#1a1a1b",
           "tortoise": "#6b2a1b", "amber": "#b9731f", "gold": "#b8913f"}
BOARD = {"maple": "#dba75f", "rosewood": "#41281b", "ebony": "#201a18"}
METAL = {"nickel": ("#f4f4f0", "#8d8f92", "#4c4e52"), "gold": ("#fbe9b0", "#b98f3a", "#6d4c17")}


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i:i + 2], 16) for i in (1, 3, 5)], float) / 255


def mix(a: str, b: str, share: float) -> str:
    """A colour between two: share 0 is a, 1 is b."""
    c = np.clip(rgb(a) * (1 - share) + rgb(b) * share, 0, 1)
    return "#" + "".join(f"{round(v * 255):02x}" for v in c)


def ink(colour: str, alpha: float = 1.0) -> int:
    r, g, b = (round(v * 255) for v in rgb(colour))
    return skia.Color(r, g, b, round(255 * min(max(alpha, 0.0), 1.0)))


def pick(rng: np.random.Generator, choices, weights=None):
    """One of the choices. By index: numpy would turn tuples into arrays."""
    p = None if weights is None else np.asarray(weights, float) / np.sum(weights)
    return choices[int(rng.choice(len(choices), p=p))]


def pick_weighted(rng: np.random.Generator, pairs):
    return pick(rng, [c for c, _ in pairs], [w for _, w in pairs])


# --------------------------------------------------------------------------
# One instrument, drawn by lot
# --------------------------------------------------------------------------

@dataclass(frozen=True)
class Specimen:
    """One guitar of a model: what the buyer and the years have chosen."""
    model: Model
    warp: Warp
    finish: Finish
    shade: float            # the finish a little lighter or darker
    figured: bool           # flamed maple under a transparent finish
    board: str
    inlay: str
    guard: Outline | None
    guard_colour: str
    knob_style: str
    metal: tuple[str, str, str]
    pickup_style: str       # covers and coils
    ring_colour: str
    button_style: str       # "metal" or "plastic"
    tremolo_arm: bool
    gloss: float

    @staticmethod
    def random(rng: np.random.Generator, model: Model) -> Specimen:
        finish = pick(rng, FINISHES, [f.weight * model.favours.get(f.name, 1) for f in FINISHES])
        # A guard in the colour of the body would leave nothing to see of it.
        colours = [(c, w) for c, w in model.guard_colours
                   if np.abs(rgb(PLASTIC[c]) - rgb(finish.layers[0])).max() > 0.2]
        return Specimen(
            model=model, warp=Warp.random(rng), finish=finish,
            shade=rng.normal(0, 0.06), figured=bool(rng.random() < 0.6),
            board=pick_weighted(rng, model.boards), inlay=pick_weighted(rng, model.inlays),
            guard=pick_weighted(rng, model.guards),
            guard_colour=pick_weighted(rng, colours or model.guard_colours),
            knob_style=pick(rng, model.knob_styles),
            metal=METAL[pick(rng, ("nickel", "gold"), (0.85, 0.15))],
            pickup_style=pick(rng, ("covered", "black", "zebra"), (0.6, 0.25, 0.15)),
            ring_colour=pick(rng, ("cream", "black"),
                             (0.85, 0.15) if model.body_binding else (0.25, 0.75)),
            button_style=pick(rng, ("metal", "plastic")),
            tremolo_arm=bool(rng.random() < 0.4), gloss=rng.uniform(0.35, 1.0),
        )

    def colours(self) -> list[str]:
        towards = "#ffffff" if self.shade > 0 else "#000000"
        return [mix(c, towards, abs(self.shade)) for c in self.finish.layers]

    def body_path(self) -> skia.Path:
        return trace(self.model.body, self.warp)

    def headstock_path(self) -> skia.Path:
        return trace(self.model.headstock, origin=(0, self.model.nut_y))

    def neck_path(self, margin: float = 0.0) -> skia.Path:
        """The fretboard: 43 mm at the nut, 56 where it ends."""
        m, top, end = self.model, 21.5 + margin, 28 + margin
        path = skia.Path()
        path.moveTo(-top, m.nut_y)
        path.lineTo(-end, m.board_end_y)
        path.lineTo(end, m.board_end_y)
        path.lineTo(top, m.nut_y)
        path.close()
        return path

    def silhouette(self) -> skia.Path:
        path = skia.Path()
        for part in (self.body_path(), self.headstock_path(), self.neck_path()):
            path.addPath(part)
        for x, y, _ in self.model.tuner_buttons:
            path.addCircle(x, self.model.nut_y + y, 8)
        return path


# --------------------------------------------------------------------------
# Brushes
# --------------------------------------------------------------------------

def fill(colour: str, alpha: float = 1.0, blur: float = 0.0, blend=skia.BlendMode.kSrcOver) -> skia.Paint:
    paint = skia.Paint(AntiAlias=True, Color=ink(colour, alpha), BlendMode=blend)
    if blur > 0:
        paint.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, blur))
    return paint


def pen(colour: str, width: float, alpha: float = 1.0, blur: float = 0.0) -> skia.Paint:
    paint = fill(colour, alpha, blur)
    paint.setStyle(skia.Paint.kStroke_Style)
    paint.setStrokeWidth(width)
    paint.setStrokeCap(skia.Paint.kRound_Cap)
    paint.setStrokeJoin(skia.Paint.kRound_Join)
    return paint


def linear(a: Point, b: Point, stops: list[tuple[float, int]], blend=skia.BlendMode.kSrcOver) -> skia.Paint:
    shader = skia.GradientShader.MakeLinear([skia.Point(*a), skia.Point(*b)],
                                            [c for _, c in stops], [p for p, _ in stops])
    return skia.Paint(AntiAlias=True, Shader=shader, BlendMode=blend)


def radial(centre: Point, radius: float, stops: list[tuple[float, int]], blend=skia.BlendMode.kSrcOver) -> skia.Paint:
    shader = skia.GradientShader.MakeRadial(skia.Point(*centre), radius,
                                            [c for _, c in stops], [p for p, _ in stops])
    return skia.Paint(AntiAlias=True, Shader=shader, BlendMode=blend)


def noise(rng: np.random.Generator, height: int, width: int, cell: tuple[float, float]) -> np.ndarray:
    """Smooth noise in 0..1 whose features are about `cell` = (rows, columns)
    wide: a coarse random grid, enlarged."""
    grid = rng.random((max(2, round(height / cell[0])), max(2, round(width / cell[1]))))
    picture = Image.fromarray((grid * 255).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(picture, float) / 255


def grey_paint(values: np.ndarray, place: skia.Matrix, alpha: float) -> skia.Paint:
    """Grey values as a paint which lightens above one half and darkens below
    (soft light), so that one texture serves every colour."""
    grey = np.clip(values * 255, 0, 255).astype(np.uint8)
    rgba = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    shader = skia.Image.fromarray(np.ascontiguousarray(rgba)).makeShader(
        skia.TileMode.kMirror, skia.TileMode.kMirror, skia.SamplingOptions(skia.FilterMode.kLinear), place)
    return skia.Paint(AntiAlias=True, Shader=shader, Alphaf=alpha, BlendMode=skia.BlendMode.kSoftLight)


def box(x: float, y: float, width: float, height: float) -> skia.Rect:
    """A rectangle about its centre."""
    return skia.Rect.MakeLTRB(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def around(path: skia.Path) -> skia.Path:
    """Everything but the path: what throws a shadow *into* it."""
    outside = skia.Path()
    outside.addRect(path.getBounds().makeOutset(300, 300))
    outside.addPath(path)
    outside.setFillType(skia.PathFillType.kEvenOdd)
    return outside


def edge_light(canvas: skia.Canvas, path: skia.Path, light: Point, depth: float, blur: float,
               bright: float, dark: float) -> None:
    """Round a flat shape off: its edge bright towards the light, dark away."""
    canvas.save()
    canvas.clipPath(path, doAntiAlias=True)
    outside = around(path)
    for sign, colour, alpha in ((1, "#000000", dark), (-1, "#ffffff", bright)):
        canvas.save()
        canvas.translate(sign * light[0] * depth, sign * light[1] * depth)
        canvas.drawPath(outside, fill(colour, alpha, blur))
        canvas.restore()
    canvas.restore()


def drop_shadow(canvas: skia.Canvas, path: skia.Path, light: Point, distance: float, blur: float,
                alpha: float) -> None:
    canvas.save()
    canvas.translate(-light[0] * distance, -light[1] * distance)
    canvas.drawPath(path, fill("#000000", alpha, blur))
    canvas.restore()


# --------------------------------------------------------------------------
# Parts of a guitar. Each draws in millimetres on a canvas that is already
# turned; `light` is the unit vector to the lamp, turned likewise.
# --------------------------------------------------------------------------

def draw_body(canvas: skia.Canvas, s: Specimen, light: Point, rng: np.random.Generator) -> None:
    body, colours = s.body_path(), s.colours()
    canvas.save()
    canvas.clipPath(body, doAntiAlias=True)
    canvas.drawPath(body, fill(colours[0]))
    draw_wood_grain(canvas, s, rng)
    # A sunburst is sprayed along the edge: soft strokes of the outline itself.
    if len(colours) == 3:
        canvas.drawPath(body, pen(colours[1], 120, 0.95, blur=24))
    if len(colours) > 1:
        canvas.drawPath(body, pen(colours[-1], 74, 1.0, blur=17))
        canvas.drawPath(body, pen(colours[-1], 34, 1.0, blur=8))
    if s.finish.metallic:
        sparkle = rng.random((240, 200))
        canvas.drawPaint(grey_paint(sparkle, skia.Matrix.Scale(2, 2), 0.15))
    draw_body_relief(canvas, s, body, light)
    draw_gloss(canvas, s, body, light)
    canvas.restore()
    if s.model.body_binding:
        # Cream, and on a white body the darker cream of old lacquer.
        binding = "#e8d8a8" if rgb(colours[-1]).mean() < 0.8 else "#d9c48c"
        canvas.save()
        canvas.clipPath(body, doAntiAlias=True)
        # Clipped to the body, half of each stroke is seen: 5 mm of binding.
        canvas.drawPath(body, pen("#2a1a10", 13, 0.5))
        canvas.drawPath(body, pen(binding, 10))
        canvas.restore()
        canvas.drawPath(body, pen("#3a2a1a", 1.0, 0.6))
    else:
        canvas.drawPath(body, pen("#000000", 1.4, 0.4))


def draw_wood_grain(canvas: skia.Canvas, s: Specimen, rng: np.random.Generator) -> None:
    """Lengthwise grain, and over a burst often the cross stripes of flame."""
    if s.finish.grain == 0:
        return
    grain = 0.6 * noise(rng, 500, 360, (150, 2.5)) + 0.4 * noise(rng, 500, 360, (240, 14))
    grain = 0.5 + (grain - 0.5) * 1.2
    canvas.drawPaint(grey_paint(grain, skia.Matrix.Translate(-180, -10), s.finish.grain))
    if s.figured and s.model.carved_top and len(s.finish.layers) > 1:
        half = noise(rng, 500, 180, (9, 60))
        half = 0.5 + (half - 0.5) * 1.5
        bookmatched = np.hstack([half[:, ::-1], half])
        canvas.drawPaint(grey_paint(bookmatched, skia.Matrix.Translate(-180, -10), 0.55))


def draw_body_relief(canvas: skia.Canvas, s: Specimen, body: skia.Path, light: Point) -> None:
    """What makes the top more than a silhouette: the carve of a Les Paul, the
    bevels of an SG, the rounded edges and arm contour of a Stratocaster."""
    m = s.model
    if m.carved_top:
        # The arch: a bright belt on the lamp's side, a dark one opposite.
        edge_light(canvas, body, (-light[0], -light[1]), 26, 18, 0.13, 0.10)
        edge_light(canvas, body, light, 10, 8, 0.10, 0.35)
    elif m.face is not None:
        face = trace(m.face, s.warp)
        bevel = skia.Op(body, face, skia.PathOp.kDifference_PathOp)
        reach = 170
        shading = linear((-light[0] * reach, 210 - light[1] * reach), (light[0] * reach, 210 + light[1] * reach),
                         [(0.0, ink("#000000", 0.48)), (0.45, ink("#000000", 0.20)),
                          (0.55, ink("#ffffff", 0.06)), (1.0, ink("#ffffff", 0.26))])
        canvas.drawPath(bevel, shading)
        canvas.drawPath(face, pen("#ffffff", 1.6, 0.38))
        edge_light(canvas, body, light, 4, 3, 0.15, 0.35)
    else:
        edge_light(canvas, body, light, 9, 7, 0.38, 0.50)
    if m.arm_contour:
        contour = skia.Path()
        contour.moveTo(-175, 205)
        contour.quadTo(-104, 130, -112, 0)
        contour.lineTo(-260, 0)
        contour.close()
        facing = -light[0] * 0.8 + light[1] * 0.2
        canvas.drawPath(contour, fill("#ffffff" if facing > 0 else "#000000", 0.06 + 0.13 * abs(facing), blur=10))


def draw_gloss(canvas: skia.Canvas, s: Specimen, body: skia.Path, light: Point) -> None:
    """Lacquer: a sheen over the whole top and the soft reflection of a lamp."""
    reach = 230
    canvas.drawPaint(linear((-light[0] * reach, 200 - light[1] * reach), (light[0] * reach, 200 + light[1] * reach),
                            [(0.0, ink("#000000", 0.30)), (0.5, ink("#000000", 0.0)), (1.0, ink("#ffffff", 0.20))]))
    across = (-light[1], light[0])
    for along, width, alpha, blur in ((105, 26, 0.30, 11), (78, 7, 0.16, 4)):
        x, y = light[0] * along, 200 + light[1] * along * 1.3
        streak = skia.Path()
        streak.moveTo(x - across[0] * 190, y - across[1] * 190)
        streak.quadTo(x + light[0] * 70, y + light[1] * 70, x + across[0] * 190, y + across[1] * 190)
        canvas.drawPath(streak, pen("#ffffff", width, alpha * s.gloss, blur))


def draw_pickguard(canvas: skia.Canvas, s: Specimen, light: Point, rng: np.random.Generator) -> None:
    if s.guard is None:
        return
    guard = trace(s.guard, s.warp)
    # A carved top carries its guard on a bracket, well clear of the wood.
    height = 6 if s.model.carved_top else 2
    drop_shadow(canvas, guard, light, height, height * 0.8, 0.5)
    colour = PLASTIC[s.guard_colour]
    canvas.drawPath(guard, fill(colour))
    canvas.save()
    canvas.clipPath(guard, doAntiAlias=True)
    if s.guard_colour == "tortoise":
        for _ in range(90):
            x, y, r = rng.uniform(-130, 130), rng.uniform(70, 430), rng.uniform(5, 18)
            blot = pick(rng, ("#a8421f", "#3a120c", "#8a2e18", "#2a0d09"))
            canvas.drawOval(box(x, y, r * 1.6, r), fill(blot, 0.55, blur=2.5))
    canvas.drawPaint(linear((-light[0] * 150, 250 - light[1] * 150), (light[0] * 150, 250 + light[1] * 150),
                            [(0, ink("#000000", 0.18)), (0.55, ink("#000000", 0.0)), (1, ink("#ffffff", 0.22))]))
    # The bevel shows the middle ply.
    canvas.drawPath(guard, pen("#f2efe6" if s.guard_colour in ("black", "tortoise") else "#55524c", 3.4, 0.75))
    canvas.drawPath(guard, pen(mix(colour, "#000000", 0.1), 1.6))
    canvas.restore()


def draw_neck(canvas: skia.Canvas, s: Specimen, light: Point) -> None:
    m = s.model
    board, wood = s.neck_path(), s.neck_path(margin=1.4)
    bound = m.board_binding
    drop_shadow(canvas, wood, light, 5, 4, 0.45)
    canvas.drawPath(wood, fill("#e6d6a6" if bound else mix(m.neck_wood, "#000000", 0.15)))
    canvas.drawPath(board, fill(BOARD[s.board]))
    # Cylinder: the board falls off to both sides.
    canvas.drawPath(board, linear((-28, 0), (28, 0), [
        (0.0, ink("#ffffff", 0.16 if light[0] < 0 else 0.0)), (0.3, ink("#000000", 0.0)),
        (0.7, ink("#000000", 0.0)), (1.0, ink("#ffffff", 0.16 if light[0] > 0 else 0.0))]))
    for n in range(1, m.frets + 1):
        y = m.fret_y(n)
        half = 21.5 + 6.5 * (m.nut_y - y) / (m.nut_y - m.board_end_y)
        canvas.drawLine(-half, y - 0.9, half, y - 0.9, pen("#000000", 1.0, 0.35))
        canvas.drawLine(-half, y, half, y, pen("#dcdcd6" if s.board != "maple" else "#b9b5aa", 1.5))
    draw_inlays(canvas, s)
    canvas.drawRect(box(0, m.nut_y + 1.5, 44, 5), fill("#f1e9d2"))


def draw_inlays(canvas: skia.Canvas, s: Specimen) -> None:
    m = s.model
    pearl = "#1c1714" if s.board == "maple" else "#e9e6da"
    for n in (3, 5, 7, 9, 12, 15, 17, 19, 21):
        top, low = m.fret_y(n - 1), m.fret_y(n)
        y, gap = (top + low) / 2, top - low
        if s.inlay == "dots":
            for x in ((-11, 11) if n == 12 else (0,)):
                canvas.drawCircle(x, y, 3.6, fill(pearl))
        else:
            path = skia.Path()
            upper, lower, tall = 13.5, 17.0, gap * 0.33
            path.addPoly([skia.Point(-upper, y + tall), skia.Point(upper, y + tall),
                          skia.Point(lower, y - tall), skia.Point(-lower, y - tall)], True)
            canvas.drawPath(path, linear((-17, y), (17, y), [
                (0, ink("#f3f0e4")), (0.5, ink("#cfd2c8")), (1, ink("#f0e8d6"))]))


def draw_headstock(canvas: skia.Canvas, s: Specimen, light: Point) -> None:
    m = s.model
    head = s.headstock_path()
    draw_tuner_buttons(canvas, s)
    drop_shadow(canvas, head, light, 4, 4, 0.45)
    colour = m.neck_wood if m.head_face == "neck" else "#141213"
    canvas.drawPath(head, fill(colour))
    canvas.save()
    canvas.clipPath(head, doAntiAlias=True)
    top = m.nut_y + 95
    canvas.drawPaint(linear((-light[0] * 100, top - light[1] * 100), (light[0] * 100, top + light[1] * 100),
                            [(0, ink("#000000", 0.25)), (0.5, ink("#ffffff", 0.02)), (1, ink("#ffffff", 0.25))]))
    canvas.restore()
    edge_light(canvas, head, light, 2.5, 2, 0.35, 0.4)
    if m.head_face == "black":
        canvas.drawPath(head, pen("#d9c890", 1.4, 0.55))
        draw_truss_rod_cover(canvas, m.nut_y)
    else:
        canvas.drawPath(head, pen("#5a3a18", 1.2, 0.6))
        for y in (62, 118):
            canvas.drawCircle(12 + (y - 62) * 0.13 - 8, m.nut_y + y, 3.2, fill(s.metal[1]))
    for x, y in m.tuner_posts:
        centre = (x, m.nut_y + y)
        canvas.drawCircle(centre[0] - light[0] * 1.5, centre[1] - light[1] * 1.5, 6, fill("#000000", 0.45, blur=1.5))
        canvas.drawCircle(*centre, 5.6, radial((x + light[0] * 2, centre[1] + light[1] * 2), 7,
                                               [(0, ink(s.metal[0])), (1, ink(s.metal[1]))]))
        canvas.drawCircle(*centre, 2.6, fill(s.metal[2]))


def draw_truss_rod_cover(canvas: skia.Canvas, nut_y: float) -> None:
    bell = skia.Path()
    bell.moveTo(-12, nut_y + 7)
    bell.cubicTo(-12, nut_y + 20, -5, nut_y + 24, 0, nut_y + 36)
    bell.cubicTo(5, nut_y + 24, 12, nut_y + 20, 12, nut_y + 7)
    bell.close()
    canvas.drawPath(bell, fill("#0c0b0b"))
    canvas.drawPath(bell, pen("#e9e2cc", 1.3))


def draw_tuner_buttons(canvas: skia.Canvas, s: Specimen) -> None:
    m = s.model
    for x, y, angle in m.tuner_buttons:
        canvas.save()
        canvas.translate(x, m.nut_y + y)
        canvas.rotate(angle)
        canvas.drawRect(box(-10, 0, 16, 4.5), fill(s.metal[1]))
        if s.button_style == "plastic" and m.head_face == "black":
            button = linear((0, -8), (0, 8), [(0, ink("#b9a777")), (0.5, ink("#e9dcb0")), (1, ink("#f6efd4"))])
        else:
            button = linear((0, -8), (0, 8), [(0, ink(s.metal[2])), (0.5, ink(s.metal[1])), (1, ink(s.metal[0]))])
        canvas.drawRRect(skia.RRect.MakeRectXY(box(3, 0, 15, 17), 6, 7), button)
        canvas.drawRRect(skia.RRect.MakeRectXY(box(3, 0, 15, 17), 6, 7), pen("#000000", 0.8, 0.5))
        canvas.restore()


def draw_pickups(canvas: skia.Canvas, s: Specimen, light: Point) -> None:
    for pickup in s.model.pickups:
        canvas.save()
        canvas.translate(0, pickup.y)
        canvas.rotate(pickup.slant)
        if pickup.kind == "single":
            draw_single_coil(canvas, s, light)
        else:
            draw_humbucker(canvas, s, light)
        canvas.restore()


def draw_single_coil(canvas: skia.Canvas, s: Specimen, light: Point) -> None:
    cover = skia.Path()
    cover.addRRect(skia.RRect.MakeRectXY(box(0, 0, 86, 20), 9.5, 9.5))
    colour = {"white": "#f6f3ea", "cream": "#ece0bd", "black": "#161617"}.get(s.knob_style, "#f2efe6")
    drop_shadow(canvas, cover, light, 3, 2, 0.6)
    canvas.drawPath(cover, fill(colour))
    edge_light(canvas, cover, light, 2, 1.5, 0.4, 0.35)
    canvas.drawPath(cover, pen("#000000", 1.0, 0.45))
    for i in range(6):
        canvas.drawCircle(-26 + 10.4 * i, 0, 3.0, fill("#7d7e80"))
        canvas.drawCircle(-26 + 10.4 * i, 0.5, 1.8, fill("#c9c9c8"))


def draw_humbucker(canvas: skia.Canvas, s: Specimen, light: Point) -> None:
    ring, cover = skia.Path(), skia.Path()
    ring.addRRect(skia.RRect.MakeRectXY(box(0, 0, 92, 47), 5, 5))
    cover.addRRect(skia.RRect.MakeRectXY(box(0, 0, 71, 38), 4, 4))
    drop_shadow(canvas, ring, light, 4, 3, 0.55)
    canvas.drawPath(ring, fill(PLASTIC[s.ring_colour]))
    edge_light(canvas, ring, light, 2, 1.5, 0.35, 0.35)
    canvas.drawPath(ring, pen("#000000", 1.0, 0.5))
    if s.pickup_style == "covered":
        canvas.drawPath(cover, linear((-30, -19), (30, 19), [
            (0, ink(s.metal[1])), (0.35, ink(s.metal[0])), (0.6, ink(mix(s.metal[0], s.metal[1], 0.6))),
            (1, ink(s.metal[0]))]))
        edge_light(canvas, cover, light, 1.5, 1.2, 0.3, 0.35)
        canvas.drawPath(cover, pen("#000000", 0.9, 0.5))
        screw_rows = (9.5,)
    else:
        canvas.drawPath(cover, fill("#0d0d0e"))
        for y in (-9.5, 9.5):
            coil = "#e6dab4" if s.pickup_style == "zebra" and y > 0 else "#242426"
            canvas.drawRRect(skia.RRect.MakeRectXY(box(0, y, 70, 17), 7, 7), fill(coil))
        screw_rows = (-9.5, 9.5)
    for y in screw_rows:
        for i in range(6):
            canvas.drawCircle(-25 + 10 * i, y, 2.5, fill(mix(s.metal[1], s.metal[2], 0.5)))
            canvas.drawCircle(-25 + 10 * i, y + 0.4, 1.4, fill(s.metal[0], 0.8))


def draw_bridge(canvas: skia.Canvas, s: Specimen, light: Point) -> None:
    if s.model.bridge == "tremolo":
        draw_tremolo(canvas, s, light)
    else:
        draw_tune_o_matic(canvas, s, light)


def draw_tremolo(canvas: skia.Canvas, s: Specimen, light: Point) -> None:
    y = s.model.bridge_y
    plate = skia.Path()
    plate.addRRect(skia.RRect.MakeRectXY(box(0, y + 4, 82, 46), 4, 4))
    drop_shadow(canvas, plate, light, 3, 2.5, 0.55)
    canvas.drawPath(plate, linear((-40, y - 20), (40, y + 25), [
        (0, ink(s.metal[1])), (0.4, ink(s.metal[0])), (1, ink(mix(s.metal[1], s.metal[2], 0.3)))]))
    canvas.drawPath(plate, pen("#000000", 1.0, 0.55))
    for i in range(6):
        x = -26.5 + 10.6 * i
        canvas.drawRRect(skia.RRect.MakeRectXY(box(x, y - 1, 9, 22), 1.5, 1.5), fill(s.metal[0]))
        canvas.drawRRect(skia.RRect.MakeRectXY(box(x, y - 1, 9, 22), 1.5, 1.5), pen("#1c1c1e", 1.1, 0.75))
        canvas.drawCircle(x, y + 22, 2.0, fill(s.metal[2]))
    if s.tremolo_arm:
        arm = skia.Path()
        arm.moveTo(36, y + 8)
        arm.cubicTo(62, y + 4, 56, y - 30, 66, y - 122)
        canvas.save()
        canvas.translate(-light[0] * 6, -light[1] * 6)
        canvas.drawPath(arm, pen("#000000", 5.5, 0.35, blur=2.5))
        canvas.restore()
        canvas.drawPath(arm, pen(s.metal[1], 5.5))
        canvas.drawPath(arm, pen(s.metal[0], 2.0))
        canvas.drawLine(65, y - 108, 66, y - 124, pen("#f3efe2", 10))


def draw_tune_o_matic(canvas: skia.Canvas, s: Specimen, light: Point) -> None:
    y = s.model.bridge_y
    for centre, width, height, radius in ((y, 90, 13, 5), (y - 42, 104, 17, 8)):
        bar = skia.Path()
        bar.addRRect(skia.RRect.MakeRectXY(box(0, centre, width, height), radius, radius))
        drop_shadow(canvas, bar, light, 4.5, 3, 0.6)
        canvas.drawPath(bar, linear((0, centre - height / 2), (0, centre + height / 2), [
            (0, ink(s.metal[2])), (0.35, ink(s.metal[1])), (0.7, ink(s.metal[0])), (1, ink(s.metal[1]))]))
        canvas.drawPath(bar, pen("#000000", 0.9, 0.5))
        for x in (-width / 2 + 7, width / 2 - 7):
            canvas.drawCircle(x, centre, 6.2, fill(s.metal[1]))
            canvas.drawCircle(x, centre, 6.2, pen("#000000", 0.8, 0.5))
            canvas.drawLine(x - 4, centre, x + 4, centre, pen(s.metal[2], 1.4))
    for i in range(6):
        x = -25 + 10 * i
        canvas.drawRect(box(x, y, 5.5, 9), fill(s.metal[2], 0.8))
        canvas.drawRect(box(x, y + 1, 3.5, 4), fill(s.metal[0]))


def draw_controls(canvas: skia.Canvas, s: Specimen, light: Point) -> None:
    m = s.model
    for x, y in m.knobs:
        x, y = s.warp(x, y)
        draw_knob(canvas, s, light, x, y)
    x, y = s.warp(*m.switch)
    if m.switch_style == "toggle":
        canvas.drawCircle(x, y, 15, fill(PLASTIC[s.ring_colour], 1.0))
        canvas.drawCircle(x, y, 15, pen("#000000", 0.9, 0.5))
        canvas.drawCircle(x, y, 7, fill(s.metal[1]))
        canvas.drawLine(x, y, x + 3, y + 6, pen(PLASTIC["cream"], 7))
    else:
        canvas.save()
        canvas.translate(x, y)
        canvas.rotate(-62)
        canvas.drawLine(-15, 0, 15, 0, pen("#101010", 3))
        canvas.drawLine(8, -1, 10, 5, pen(PLASTIC["cream" if s.knob_style == "cream" else "white"], 7))
        canvas.restore()
    if m.jack is not None:
        draw_jack(canvas, s, light)


def draw_knob(canvas: skia.Canvas, s: Specimen, light: Point, x: float, y: float) -> None:
    colour = PLASTIC[s.knob_style]
    knob = skia.Path()
    knob.addCircle(x, y, 13)
    drop_shadow(canvas, knob, light, 5, 3, 0.6)
    canvas.drawPath(knob, radial((x + light[0] * 5, y + light[1] * 5), 20, [
        (0, ink(mix(colour, "#ffffff", 0.25))), (1, ink(mix(colour, "#000000", 0.45)))]))
    canvas.drawPath(knob, pen("#000000", 1.0, 0.55))
    canvas.drawCircle(x, y, 8.2, radial((x + light[0] * 4, y + light[1] * 4), 12, [
        (0, ink(mix(colour, "#ffffff", 0.5))), (1, ink(colour))]))
    canvas.drawCircle(x, y, 8.2, pen("#000000", 0.7, 0.35))
    canvas.drawLine(x, y + 4, x, y + 11, pen("#f4f0e0" if rgb(colour).mean() < 0.6 else "#2a2a2a", 1.3))


def draw_jack(canvas: skia.Canvas, s: Specimen, light: Point) -> None:
    x, y = s.warp(*s.model.jack)
    canvas.save()
    canvas.translate(x, y)
    if s.model.bridge == "tremolo":
        # The boat-shaped plate, sunk into the rim of the lower bout.
        canvas.rotate(56)
        plate = skia.RRect.MakeRectXY(box(0, 0, 52, 22), 11, 11)
        canvas.drawRRect(plate, fill("#000000", 0.4, blur=2))
        canvas.drawRRect(plate, linear((-30, 0), (30, 0), [
            (0, ink(s.metal[0])), (0.5, ink(s.metal[1])), (1, ink(s.metal[0]))]))
        canvas.drawRRect(plate, pen("#000000", 0.9, 0.5))
        canvas.drawOval(box(2, 0, 28, 14), fill(s.metal[2], 0.9))
        canvas.drawCircle(4, 0, 5.5, fill("#0a0a0a"))
    else:
        canvas.drawCircle(0, 0, 13, fill("#1a1a1b"))
        canvas.drawCircle(0, 0, 7.5, fill(s.metal[1]))
        canvas.drawCircle(0, 0, 4, fill("#0a0a0a"))
    canvas.restore()


def draw_strap_buttons(canvas: skia.Canvas, s: Specimen) -> None:
    """Drawn first, so that the body hides their stems."""
    buttons = [(0.0, -4.0)]
    if s.model.strap_button is not None:
        buttons.append(s.warp(*s.model.strap_button))
    for x, y in buttons:
        canvas.drawRRect(skia.RRect.MakeRectXY(box(x, y, 15, 15), 4, 4), fill(s.metal[1]))
        canvas.drawRRect(skia.RRect.MakeRectXY(box(x, y, 15, 15), 4, 4), pen("#000000", 1, 0.5))


def draw_strings(canvas: skia.Canvas, s: Specimen, light: Point) -> None:
    m = s.model
    anchor_y = m.bridge_y if m.bridge == "tremolo" else m.bridge_y - 36
    for i, (post_x, post_y) in enumerate(m.tuner_posts):
        path = skia.Path()
        path.moveTo(-26 + 10.4 * i, anchor_y)
        path.lineTo(-17.5 + 7 * i, m.nut_y)
        path.lineTo(post_x, m.nut_y + post_y)
        width = 1.5 - 0.13 * i
        canvas.save()
        canvas.translate(-light[0] * 3, -light[1] * 3)
        canvas.drawPath(path, pen("#000000", width, 0.35))
        canvas.restore()
        canvas.drawPath(path, pen("#c9b48a" if i < 3 else "#e4e4e2", width))


def draw_guitar(canvas: skia.Canvas, s: Specimen, light: Point, rng: np.random.Generator) -> None:
    draw_strap_buttons(canvas, s)
    draw_body(canvas, s, light, rng)
    draw_pickguard(canvas, s, light, rng)
    draw_neck(canvas, s, light)
    draw_headstock(canvas, s, light)
    draw_pickups(canvas, s, light)
    draw_bridge(canvas, s, light)
    draw_strings(canvas, s, light)
    draw_controls(canvas, s, light)


# --------------------------------------------------------------------------
# Backgrounds. Each paints a whole canvas of `w` by `h` device pixels; `u` is
# one pixel of the finished picture.
# --------------------------------------------------------------------------

TONES = ("#c9c5bd", "#8d9298", "#5c6670", "#b7a58c", "#7f6a58", "#47525c", "#a9b4b0", "#d8d2c4",
         "#6d7a6b", "#8a5f4d", "#35393f", "#9c8fa0", "#4d6b78", "#c3b08a")
WOODS = ("#8a5d38", "#a97c4f", "#6b4a33", "#b8946a", "#7d6f62", "#54402f", "#c0a585")
BRICKS = ("#8e4a38", "#7a4034", "#a06650", "#8a8078", "#b9a493", "#5f4640")


def studio(canvas, w, h, u, tone, rng):
    """A paper roll with a lamp on it."""
    centre = (w * rng.uniform(0.25, 0.75), h * rng.uniform(0.2, 0.6))
    canvas.drawPaint(radial(centre, max(w, h) * rng.uniform(0.65, 0.95), [
        (0, ink(mix(tone, "#ffffff", 0.3))), (1, ink(mix(tone, "#000000", 0.45)))]))


def wall_and_floor(canvas, w, h, u, tone, rng):
    """A living room: wall, skirting board, wooden floor."""
    horizon = h * rng.uniform(0.66, 0.84)
    canvas.drawRect(skia.Rect.MakeLTRB(0, 0, w, horizon), linear((0, 0), (w * 0.4, horizon), [
        (0, ink(mix(tone, "#ffffff", 0.22))), (1, ink(mix(tone, "#000000", 0.12)))]))
    floor = pick(rng, WOODS)
    canvas.drawRect(skia.Rect.MakeLTRB(0, horizon, w, h), linear((0, horizon), (0, h), [
        (0, ink(mix(floor, "#000000", 0.3))), (1, ink(mix(floor, "#ffffff", 0.08)))]))
    # Floor boards run to a vanishing point on the wall.
    vanish = w * rng.uniform(0.3, 0.7)
    for i in range(-9, 10):
        canvas.drawLine(vanish + i * w * 0.07, horizon, vanish + i * w * 0.22, h, pen("#000000", u * 0.8, 0.28))
    skirting = skia.Rect.MakeLTRB(0, horizon - 11 * u, w, horizon)
    canvas.drawRect(skirting, fill(mix(tone, "#ffffff", 0.5)))
    canvas.drawRect(skia.Rect.MakeLTRB(0, horizon - 1.5 * u, w, horizon + 3 * u), fill("#000000", 0.4, blur=1.5 * u))


def planks(canvas, w, h, u, tone, rng):
    """Boards, upright or (as often) lying, each of its own shade."""
    wood = pick(rng, WOODS)
    canvas.save()
    if rng.random() < 0.5:
        canvas.translate(w / 2, h / 2)
        canvas.rotate(90 + rng.normal(0, 4))
        canvas.translate(-w / 2, -h / 2)
    width = rng.uniform(26, 52) * u
    reach = max(w, h)
    for x in np.arange(-reach * 0.5, reach * 1.5, width):
        colour = mix(wood, "#000000" if rng.random() < 0.5 else "#ffffff", rng.uniform(0, 0.16))
        plank = skia.Rect.MakeLTRB(x, -reach, x + width, reach * 2)
        canvas.drawRect(plank, fill(colour))
        grain = 0.5 + 0.6 * (noise(rng, 300, 60, (100, 4)) - 0.5)
        place = skia.Matrix.Translate(x, -reach * rng.uniform(0.2, 0.6))
        place.preScale(width / 60, 5 * u)
        canvas.drawRect(plank, grey_paint(grain, place, 0.6))
        canvas.drawLine(x, -reach, x, reach * 2, pen("#000000", 1.4 * u, 0.6))
        joint = rng.uniform(0, h)
        canvas.drawLine(x, joint, x + width, joint, pen("#000000", 1.1 * u, 0.5))
    canvas.restore()


def cloth(canvas, w, h, u, tone, rng):
    """A carpet or a bedspread: one motif, repeated."""
    ground, figure = tone, mix(tone, pick(rng, ("#e8dcc0", "#7a2a26", "#23344a", "#2c3a2e")), 0.55)
    canvas.drawPaint(fill(ground))
    canvas.save()
    canvas.translate(w / 2, h / 2)
    canvas.rotate(rng.uniform(-20, 20))
    step = rng.uniform(34, 60) * u
    motif = pick(rng, ("lozenges", "stripes", "rings"))
    n = int(max(w, h) / step) + 2
    for i in range(-n, n + 1):
        if motif == "stripes":
            canvas.drawRect(skia.Rect.MakeXYWH(i * step, -2 * h, step * 0.45, 4 * h), fill(figure))
            canvas.drawRect(skia.Rect.MakeXYWH(i * step + step * 0.62, -2 * h, step * 0.08, 4 * h), fill(figure))
            continue
        for j in range(-n, n + 1):
            x, y = (i + 0.5 * (j % 2)) * step, j * step * 0.8
            if motif == "rings":
                canvas.drawCircle(x, y, step * 0.3, pen(figure, step * 0.1))
                canvas.drawCircle(x, y, step * 0.1, fill(figure))
            else:
                lozenge = skia.Path()
                lozenge.addPoly([skia.Point(x, y - step * 0.38), skia.Point(x + step * 0.28, y),
                                 skia.Point(x, y + step * 0.38), skia.Point(x - step * 0.28, y)], True)
                canvas.drawPath(lozenge, fill(figure))
    canvas.restore()
    weave = noise(rng, int(h / u), int(w / u), (2.5, 2.5))
    canvas.drawPaint(grey_paint(weave, skia.Matrix.Scale(u, u), 0.2))


def bokeh(canvas, w, h, u, tone, rng):
    """Lamps far out of focus, behind a guitar on a stand."""
    dark = mix(tone, "#000000", 0.5)
    canvas.drawPaint(linear((0, 0), (0, h), [(0, ink(mix(dark, "#000000", 0.35))), (1, ink(dark))]))
    for _ in range(int(rng.integers(14, 30))):
        lamp = pick(rng, ("#f2c27a", "#e8e2d0", "#d9835a", "#8fb2c9", "#c98fa6"))
        radius = rng.uniform(8, 34) * u
        canvas.drawCircle(rng.uniform(0, w), rng.uniform(0, h), radius,
                          fill(lamp, rng.uniform(0.10, 0.38), blur=rng.uniform(1, 5) * u))


def brick(canvas, w, h, u, tone, rng):
    """A wall in stretcher bond."""
    colour = pick(rng, BRICKS)
    canvas.drawPaint(fill(mix("#b5aca0", colour, 0.3)))
    height = rng.uniform(17, 26) * u
    length = height * 2.9
    for row in range(int(h / height) + 2):
        for i in range(-1, int(w / length) + 2):
            x, y = (i + 0.5 * (row % 2)) * length, row * height - height / 2
            shade = mix(colour, "#000000" if rng.random() < 0.5 else "#ffffff", rng.uniform(0, 0.16))
            stone = skia.Rect.MakeXYWH(x + 1.2 * u, y + 1.2 * u, length - 2.4 * u, height - 2.4 * u)
            canvas.drawRRect(skia.RRect.MakeRectXY(stone, u, u), fill(shade))
    rough = noise(rng, int(h / u), int(w / u), (3, 4))
    canvas.drawPaint(grey_paint(rough, skia.Matrix.Scale(u, u), 0.22))


BACKGROUNDS = ((studio, 0.26), (wall_and_floor, 0.2), (planks, 0.17), (cloth, 0.12), (bokeh, 0.13), (brick, 0.12))


def draw_background(canvas: skia.Canvas, scene: Scene, body_colour: str, rng: np.random.Generator) -> None:
    """Paint a background which the body stands out from: lots are drawn until
    the two differ, and should five not do, the best of them is taken."""
    w, h = (d * SUPERSAMPLING for d in scene.size)
    best, best_contrast = None, -1.0
    for _ in range(5):
        surface = skia.Surface(w, h)
        paint = pick_weighted(rng, BACKGROUNDS)
        paint(surface.getCanvas(), w, h, SUPERSAMPLING, pick(rng, TONES), rng)
        image = surface.makeImageSnapshot()
        middle = image.toarray(colorType=skia.kRGBA_8888_ColorType)[h // 5:-h // 5, w // 5:-w // 5, :3]
        contrast = float(np.abs(middle.mean((0, 1)) / 255 - rgb(body_colour)).max())
        if contrast > best_contrast:
            best, best_contrast = image, contrast
        if contrast > 0.24:
            break
    blurred = skia.Paint(ImageFilter=skia.ImageFilters.Blur(scene.background_blur, scene.background_blur,
                                                            skia.TileMode.kClamp))
    canvas.drawImage(best, 0, 0, skia.SamplingOptions(), blurred)


# --------------------------------------------------------------------------
# Scene: framing, light and camera
# --------------------------------------------------------------------------

@dataclass(frozen=True)
class Scene:
    size: tuple[int, int]
    angle: float                # degrees clockwise from upright
    turn: float                 # seen a little from the side: narrower
    skew: float
    left_handed: bool
    close: float                # 1: the whole guitar fits; more: nearer
    offset: Point               # -1..1, of the free room
    light_angle: float          # direction to the lamp in the picture
    shadow_distance: float
    shadow_blur: float
    background_blur: float
    exposure: float
    cast: tuple[float, float, float]
    fall_off: float             # the lamp's side brighter than the other
    vignette: float
    blur: float
    noise: float

    @staticmethod
    def random(rng: np.random.Generator) -> Scene:
        short, long = int(rng.integers(284, 317)), int(rng.integers(384, 421))
        lying = rng.random() < 0.14
        if lying:
            size, angle = (long, short), pick(rng, (-90, 90)) + rng.normal(0, 9)
        else:
            size, angle = (short, long), float(np.clip(rng.normal(0, 11), -27, 27))
        return Scene(
            size=size, angle=angle,
            turn=rng.uniform(0.92, 1.0), skew=rng.normal(0, 0.022),
            left_handed=bool(rng.random() < 0.05),
            close=1.0 if rng.random() < 0.42 else rng.uniform(1.12, 1.75),
            offset=tuple(rng.uniform(-0.7, 0.7, 2)),
            light_angle=rng.uniform(25, 155),
            shadow_distance=rng.uniform(8, 30), shadow_blur=rng.uniform(5, 17),
            background_blur=rng.uniform(1.4, 4.5),
            exposure=rng.normal(1.04, 0.09), cast=tuple(1 + rng.normal(0, 0.025, 3)),
            fall_off=rng.uniform(0.0, 0.3), vignette=rng.uniform(0.0, 0.38),
            blur=max(0.0, rng.normal(0.15, 0.25)), noise=rng.uniform(0.002, 0.008),
        )


def placement(scene: Scene, s: Specimen) -> skia.Matrix:
    """From millimetres to device pixels: turn the guitar, fit it into the
    picture, and for a closer view let the headstock leave it, never the body."""
    turned = skia.Matrix.RotateDeg(scene.angle)
    turned.preConcat(skia.Matrix.MakeAll(scene.turn, scene.skew, 0, 0, -1, 0, 0, 0, 1))
    if scene.left_handed:
        turned.preScale(-1, 1)

    def extent(path: skia.Path) -> skia.Rect:
        moved = skia.Path()
        path.transform(turned, moved)
        return moved.computeTightBounds()

    whole, body = extent(s.silhouette()), extent(s.body_path())
    w, h = (d * SUPERSAMPLING for d in scene.size)
    room = 0.93
    fit = room * min(w / whole.width(), h / whole.height())
    scale = min(fit * scene.close, 0.9 * min(w / body.width(), h / body.height()))

    def position(length, whole_lo, whole_hi, body_lo, body_hi, offset):
        # `free` is the room left over; for a closer view it is negative, and
        # the last two lines see to it that the neck leaves and the body stays.
        free = length - scale * (whole_hi - whole_lo)
        shift = free * 0.5 * (1 + offset * (0.8 if free > 0 else 0.2)) - scale * whole_lo
        margin = 0.04 * length
        shift = max(shift, margin - scale * body_lo)
        return min(shift, length - margin - scale * body_hi)

    dx = position(w, whole.left(), whole.right(), body.left(), body.right(), scene.offset[0])
    dy = position(h, whole.top(), whole.bottom(), body.top(), body.bottom(), scene.offset[1])
    place = skia.Matrix.Translate(dx, dy)
    place.preScale(scale, scale)
    place.preConcat(turned)
    return place


def light_on_guitar(scene: Scene, place: skia.Matrix) -> Point:
    """The direction to the lamp, seen from the guitar."""
    back = skia.Matrix()
    place.invert(back)
    a = math.radians(scene.light_angle)
    v = back.mapVector(math.cos(a), -math.sin(a))
    length = math.hypot(v.x(), v.y())
    return v.x() / length, v.y() / length


def cast_shadow(canvas: skia.Canvas, s: Specimen, scene: Scene, light: Point) -> None:
    silhouette = s.silhouette()
    drop_shadow(canvas, silhouette, light, scene.shadow_distance, scene.shadow_blur, 0.5)
    drop_shadow(canvas, silhouette, light, scene.shadow_distance * 0.25, 4, 0.4)


def develop(picture: np.ndarray, scene: Scene, rng: np.random.Generator) -> Image.Image:
    """What lamp, lens and film do to the finished drawing."""
    reduced = Image.fromarray(picture).resize(scene.size, Image.Resampling.LANCZOS)
    if scene.blur > 0.05:
        reduced = reduced.filter(ImageFilter.GaussianBlur(scene.blur))
    pixels = np.asarray(reduced, float) / 255
    h, w = pixels.shape[:2]
    y, x = np.mgrid[0:h, 0:w]
    x, y = (x / w - 0.5) * 2, (y / h - 0.5) * 2
    a = math.radians(scene.light_angle)
    lamp = 1 + scene.fall_off * 0.5 * (x * math.cos(a) - y * math.sin(a))
    corners = 1 - scene.vignette * np.clip((x * x + y * y) / 2, 0, 1) ** 1.5
    pixels = pixels * (lamp * corners * scene.exposure)[..., None] * np.array(scene.cast)
    pixels = pixels + rng.normal(0, scene.noise, (h, w, 1))
    return Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))


def draw_picture(seed: int, model_index: int, index: int) -> Image.Image:
    rng = np.random.default_rng([seed, model_index, index])
    specimen = Specimen.random(rng, MODELS[model_index])
    scene = Scene.random(rng)
    surface = skia.Surface(*(d * SUPERSAMPLING for d in scene.size))
    canvas = surface.getCanvas()
    draw_background(canvas, scene, specimen.colours()[-1], rng)
    place = placement(scene, specimen)
    light = light_on_guitar(scene, place)
    canvas.concat(place)
    cast_shadow(canvas, specimen, scene, light)
    draw_guitar(canvas, specimen, light, rng)
    picture = surface.makeImageSnapshot().toarray(colorType=skia.kRGBA_8888_ColorType)[..., :3]
    return develop(np.ascontiguousarray(picture), scene, rng)


# --------------------------------------------------------------------------
# Files
# --------------------------------------------------------------------------

def encode(image: Image.Image) -> bytes:
    """JPEG at the usual quality, or below it where a busy background would
    make the file too large for a demo in a repository (about one in three)."""
    for quality in range(JPEG_QUALITY, 60, -4):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= MAX_BYTES:
            break
    return buffer.getvalue()


def contact_sheet(out: Path, count: int, columns: int = 6, width: int = 1280) -> Image.Image:
    """An overview: some pictures of each class under the name of the class.
    Each row is as high as makes its pictures, upright or lying, fill it."""
    gap, title = 8, 36
    shown = [round(i * (count - 1) / max(1, columns - 1)) for i in range(min(columns, count))]
    rows = []
    for model in MODELS:
        pictures = [Image.open(out / model.folder / f"{index:03}.jpg") for index in shown]
        height = (width - gap * (len(pictures) + 1)) / sum(p.width / p.height for p in pictures)
        rows.append([p.resize((int(height * p.width / p.height), int(height)), Image.Resampling.LANCZOS)
                     for p in pictures])
    sheet = Image.new("RGB", (width, gap + sum(title + row[0].height for row in rows)), "#ffffff")
    pencil = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(20)
    top = 0
    for model, row in zip(MODELS, rows):
        pencil.text((gap, top + 8), model.label, fill="#222222", font=font)
        top, left = top + title, gap
        for picture in row:
            sheet.paste(picture, (left, top))
            left += picture.width + gap
        top += row[0].height
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the guitar demo data set.")
    parser.add_argument("--out", type=Path, default=Path("data/guitars"), help="folder to write to")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--count", type=int, default=40, help="pictures a class")
    parser.add_argument("--contact-sheet", type=Path, metavar="FILE.png", help="also write an overview picture")
    options = parser.parse_args()

    for model_index, model in enumerate(MODELS):
        folder = options.out / model.folder
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(options.count):
            image = draw_picture(options.seed, model_index, index)
            (folder / f"{index:03}.jpg").write_bytes(encode(image))
    if options.contact_sheet is not None:
        contact_sheet(options.out, options.count).save(options.contact_sheet, optimize=True)


if __name__ == "__main__":
    main()
