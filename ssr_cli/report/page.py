"""Pages in one file: templates that lie beside this module, filled with data and pictures, nothing fetched."""

from __future__ import annotations

import base64
import html
import io
import json
from importlib.resources import files
from typing import Any

from PIL import Image

from ssr_cli.console import finite


def fill(template: str, **parts: str) -> str:
    """A template with every `{{name}}` replaced.

    Args:
        template: file name in this package.
        parts: HTML, script or style by name; must be escaped already.

    Raises:
        KeyError: if the template has no place for a part.
    """
    text = files("ssr_cli.report").joinpath(template).read_text(encoding="utf-8")
    for name, value in parts.items():
        place = "{{" + name + "}}"
        if place not in text:
            raise KeyError(f"{template} has no {place}")
        text = text.replace(place, value)
    return text


def escaped(text: str) -> str:
    """Text for HTML."""
    return html.escape(text, quote=True)


def script_data(value: Any) -> str:
    """JSON that may stand inside a script element: strict, and with no `<` that could end it."""
    text = json.dumps(finite(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def data_uri(picture: Image.Image, kind: str = "png") -> str:
    """A picture inside a page.

    Args:
        picture: RGB.
        kind: "png" (exact) or "jpeg" (quality 90, for photos that are only looked at).
    """
    buffer = io.BytesIO()
    picture.save(buffer, kind, **({"quality": 90} if kind == "jpeg" else {}))
    return file_uri(buffer.getvalue(), kind)


def file_uri(content: bytes, kind: str) -> str:
    """A picture file as it is, inside a page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def bytes_text(content: bytes) -> str:
    """Any bytes as base64."""
    return base64.b64encode(content).decode("ascii")


def table(rows: list[tuple[str, str]]) -> str:
    """Names and values as an HTML table's body."""
    return "".join(f"<tr><th scope=row>{escaped(n)}</th><td>{escaped(v)}</td></tr>" for n, v in rows)
