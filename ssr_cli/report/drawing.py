"""Parts of a chart: ticks, axes around a picture, colour bars, legends. Arrays in, Pillow images out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw, ImageFont

from ssr_cli.views import palette, to_picture

INK, FAINT, PAPER = (28, 28, 32), (120, 120, 128), (250, 250, 248)
TITLE, TEXT = 17, 13
#: Room left of a picture for ticks, above it for the title, below for ticks and the axis' name, and for a bar.
LEFT, TOP, BELOW, BAR = 58, 30, 42, 62
#: Distance between ticks that reads well, pixels.
_TICK_APART = 78

Colour = tuple[int, int, int]


def font(size: int = TEXT) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The one font."""
    return ImageFont.load_default(size)


def ticks(low: float, high: float, room_px: int, apart: int = _TICK_APART) -> list[float]:
    """Round values between two ends: 1, 2 or 5 times a power of ten, as many as there is room for.

    Args:
        low: end.
        high: other end, > low.
        room_px: length of the axis.
        apart: least distance of two ticks, pixels.
    """
    most = max(2, room_px // apart)
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Axis:
    """One side of a chart.

    Attributes:
        name: with its unit.
        low: value at the left or top.
        high: value at the right or bottom.
    """

    name: str
    low: float
    high: float

    def place(self, value: float, length: int) -> float:
        """Pixels from the beginning of the axis."""
        return (value - self.low) / (self.high - self.low) * length

    def ticks(self, length: int, apart: int = _TICK_APART) -> list[float]:
        """Values to be marked."""
        return ticks(min(self.low, self.high), max(self.low, self.high), length, apart)


def with_axes(
    picture: Image.Image, title: str, across: Axis, down: Axis, foot: Image.Image | None = None
) -> Image.Image:
    """A picture as a chart: title, ticks left and below, names with units, a colour bar or legend at the foot.

    Args:
        picture: the plot's inside.
        title: above it.
        across: horizontal axis.
        down: vertical axis, its `low` at the top.
        foot: below, at most as wide as the picture unless the picture is narrow.
    """
    width = LEFT + max(picture.width, math.ceil(font(TITLE).getlength(title)), foot.width if foot else 0) + 14
    out = Image.new("RGB", (width, TOP + picture.height + BELOW + BAR), PAPER)
    draw = ImageDraw.Draw(out)
    draw.text((LEFT, 2), title, fill=INK, font=font(TITLE))
    out.paste(picture, (LEFT, TOP))
    draw.rectangle([LEFT - 1, TOP - 1, LEFT + picture.width, TOP + picture.height], outline=FAINT)
    bottom = TOP + picture.height
    for value in across.ticks(picture.width):
        x = LEFT + across.place(value, picture.width)
        draw.line([x, bottom + 1, x, bottom + 5], fill=FAINT)
        draw.text((x, bottom + 6), f"{value:g}", fill=INK, font=font(), anchor="ma")
    for value in down.ticks(picture.height, 44):
        y = TOP + down.place(value, picture.height)
        draw.line([LEFT - 6, y, LEFT - 2, y], fill=FAINT)
        draw.text((LEFT - 9, y), f"{value:g}", fill=INK, font=font(), anchor="rm")
    draw.text((LEFT + picture.width / 2, bottom + 22), across.name, fill=FAINT, font=font(), anchor="ma")
    _upright(out, down.name, picture.height)
    if foot is not None:
        out.paste(foot, (LEFT, bottom + BELOW))
    return out


def _upright(out: Image.Image, name: str, height: int) -> None:
    """The name of the vertical axis, read from below, where there is room for it."""
    length = math.ceil(font().getlength(name)) + 2
    if length > height + TOP:
        return
    label = Image.new("RGB", (length, 18), PAPER)
    ImageDraw.Draw(label).text((1, 1), name, fill=FAINT, font=font())
    out.paste(label.rotate(90, expand=True), (2, max(0, TOP + (height - length) // 2)))


def colour_scale(width: int, high: float, unit: str, second: tuple[float, str] | None = None) -> Image.Image:
    """A colour bar from 0 to `high` with ticks below, and above it ticks in a second unit.

    Args:
        width: of the bar, pixels.
        high: value of its right end.
        unit: named right of the bar's ticks.
        second: what one unit is in another one, and that one's name.
    """
    out = Image.new("RGB", (width, BAR), PAPER)
    draw, top, thick = ImageDraw.Draw(out), 19, 12
    out.paste(to_picture(palette(torch.linspace(0, 1, width).expand(thick, width))), (0, top))
    draw.rectangle([0, top, width - 1, top + thick], outline=FAINT)
    _bar_ticks(draw, width, high, unit, top + thick, below=True)
    if second is not None:
        _bar_ticks(draw, width, high * second[0], second[1], top, below=False)
    return out


def _bar_ticks(draw: ImageDraw.ImageDraw, width: int, high: float, unit: str, y: int, below: bool) -> None:
    """Ticks on one side of a bar; the unit stands at its right end, in the place of ticks that would touch it."""
    edge = width - math.ceil(font().getlength(unit)) - 8
    for value in ticks(0.0, high, width, 56):
        x = value / high * width
        half = font().getlength(f"{value:g}") / 2
        if x + half > edge:
            continue
        draw.line([x, y, x, y + 4] if below else [x, y - 4, x, y], fill=FAINT)
        place = (max(x, half), y + 5) if below else (max(x, half), y - 5)
        draw.text(place, f"{value:g}", fill=INK, font=font(), anchor="ma" if below else "ms")
    draw.text((width, y + 5 if below else y - 5), unit, fill=FAINT, font=font(), anchor="ra" if below else "rs")


def legend(width: int, entries: Sequence[tuple[Colour, str]]) -> Image.Image:
    """Coloured squares with names, in as many lines as they need."""
    out = Image.new("RGB", (width, BAR), PAPER)
    draw, x, y = ImageDraw.Draw(out), 0, 4
    for colour, name in entries:
        room = 20 + math.ceil(font().getlength(name)) + 14
        if x and x + room > width + 14:
            x, y = 0, y + 20
        draw.rectangle([x, y + 2, x + 12, y + 14], fill=colour, outline=FAINT)
        draw.text((x + 18, y), name, fill=INK, font=font())
        x += room
    return out


def caption(width: int, text: str) -> Image.Image:
    """A sentence below a chart, broken into lines."""
    out = Image.new("RGB", (width, BAR), PAPER)
    draw, line, y = ImageDraw.Draw(out), "", 2
    for word in [*text.split(" "), ""]:
        longer = f"{line} {word}".strip()
        if word and font().getlength(longer) <= width:
            line = longer
            continue
        draw.text((0, y), line, fill=INK, font=font())
        line, y = word, y + 18
    return out
