"""Everything about a photo's blur on one picture."""

from __future__ import annotations

from PIL import Image, ImageDraw

from ssr_cli.report import panels
from ssr_cli.report.drawing import FAINT, INK, PAPER, font
from ssr_cli.report.findings import Findings, rows, summarise

_MARGIN = 18
_ROW = 21


def inspection(found: Findings, title: str = "") -> Image.Image:
    """Photo, depth before and after, blur radius, kernels, direction, AMF's weights, uncertainty, thin lens, figures.

    Args:
        found: see `find`.
        title: above all, for example the photo's name.
    """
    size = panels.sizes(found)
    before, after = panels.depth_panels(found, size)
    fusion = panels.fusion_panel(found, size)
    charts = [
        panels.photo_panel(found, size),
        panels.radius_panel(found, size),
        panels.kernels_panel(found, size),
        before,
        after,
        panels.lens_panel(found, size),
        panels.direction_panel(found, size),
        panels.uncertainty_panel(found, size),
        *([fusion] if fusion is not None else []),
    ]
    return _assembled(charts, title or "What blurred the photo", rows(summarise(found)))


def _assembled(charts: list[Image.Image], title: str, told: list[tuple[str, str]]) -> Image.Image:
    """Three charts a row, every column as wide as its widest, the figures below."""
    lines = [charts[i : i + 3] for i in range(0, len(charts), 3)]
    widths = [max(line[c].width for line in lines if c < len(line)) for c in range(min(3, len(charts)))]
    heights = [max(chart.height for chart in line) for line in lines]
    width = sum(widths) + _MARGIN * (len(widths) + 1)
    wrapped = [(name, part) for name, text in told for part in _wrap(text, width - 2 * _MARGIN - 170)]
    out = Image.new("RGB", (width, 44 + sum(heights) + _MARGIN * len(lines) + _ROW * len(wrapped) + _MARGIN), PAPER)
    draw = ImageDraw.Draw(out)
    draw.text((_MARGIN, 12), title, fill=INK, font=font(22))
    y = 44
    for line, height in zip(lines, heights, strict=True):
        x = _MARGIN
        for chart, column in zip(line, widths, strict=False):
            out.paste(chart, (x, y))
            x += column + _MARGIN
        y += height + _MARGIN
    last = ""
    for name, text in wrapped:
        if name != last:
            draw.text((_MARGIN, y), name, fill=FAINT, font=font(15))
        draw.text((_MARGIN + 170, y), text, fill=INK, font=font(15))
        last, y = name, y + _ROW
    return out


def _wrap(text: str, room: int) -> list[str]:
    """Lines of a text no wider than the room."""
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}".strip()
        if font(15).getlength(longer) > room and line:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]
