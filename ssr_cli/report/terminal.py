"""The short view for a terminal: plain ASCII, no colour, at most 79 columns."""

from __future__ import annotations

import textwrap

import torch.nn.functional as F
from torch import Tensor

from ssr_cli.report.findings import Findings, rows, summarise
from ssr_cli.views import radius_limit

#: From sharp to blurred, steadily darker on paper and brighter on a dark screen.
_RAMP = " .:-=+*#%@"
_WIDTH, _NAME, _LABEL = 79, 18, 6
#: Columns and most rows of the map; a character is about twice as tall as wide.
_COLUMNS, _ROWS = 64, 24


def terminal_view(found: Findings, title: str) -> str:
    """Figures and a map of the blur radius.

    Args:
        found: see `find`.
        title: the photo's name.
    """
    lines = [title, ""]
    for name, text in rows(summarise(found)):
        first, *rest = textwrap.wrap(text, _WIDTH - _NAME) or [""]
        lines += [f"{name:<{_NAME}}{first}", *(" " * _NAME + line for line in rest)]
    return "\n".join([*lines, "", *_map(found)])


def _map(found: Findings) -> list[str]:
    """The blur radius as characters, rows and columns marked in photo pixels."""
    h, w = found.photo.height, found.photo.width
    columns, tall = min(_COLUMNS, max(1, w)), h / w * _COLUMNS / 2
    if tall > _ROWS:
        columns, tall = max(1, min(columns, round(_COLUMNS * _ROWS / tall))), _ROWS
    count = max(1, min(h, round(tall)))
    radius: Tensor = found.analysis.field.radius_px
    cells = F.adaptive_avg_pool2d(radius[None, None], (count, columns))[0, 0]
    most = radius_limit(found.analysis.field)
    level = (cells / most * len(_RAMP)).long().clamp(0, len(_RAMP) - 1).tolist()
    step = most / len(_RAMP)
    lines = [f'blur radius from 0 to {most:g} HR px in ten steps of {step:.2g}: "{_RAMP}"']
    for i, row in enumerate(level):
        marked = f"{round(i * h / count):>{_LABEL - 1}} " if i % 4 == 0 else " " * _LABEL
        lines.append(marked + "|" + "".join(_RAMP[v] for v in row) + "|")
    lines.append(" " * _LABEL + f" 0{w:>{max(1, columns - 1)}}")
    return lines
