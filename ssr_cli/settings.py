"""Options and where they come from: defaults < config file < environment < flags."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ssr_cli.errors import UsageError

#: Flow steps when none are asked for.
DEFAULT_STEPS = 1
DEFAULT_SCALE = 4.0
#: A photo may have this many pixels unless more are allowed.
MAX_PIXELS = 100_000_000
#: Formats that results are written in.
FORMATS = ("png", "jpg", "webp", "tif", "avif")
#: What to do where a result and its photo disagree under the kernels: nothing, tell, correct.
CONSISTENCY = ("off", "report", "project")
#: What to do with blur that was meant, and the share of it that is kept if no other is asked for.
FOCUS = {"all": 0.0, "keep": 1.0, "reduce": 0.5}
#: Where the pixels come from, and the probability that a camera processed them; None looks at them.
SOURCES = {"auto": None, "camera": 1.0, "reduced": 0.0}
#: Numbers that networks compute with.
PRECISIONS = ("float32", "bfloat16")
#: Settings a config file or `SSR_<NAME>` may change, with their types.
CONFIGURABLE: dict[str, type] = {"device": str, "tile": int, "steps": int, "seed": int, "precision": str}


@dataclass(frozen=True)
class Ablation:
    """What to leave out, for measuring what it is worth. Nothing, in use.

    Attributes:
        without_depth: AMF does not hear the depth.
        without_kernel: AMF does not hear the kernels.
        rounds: SVKR stops after so many rounds, >= 1; None runs all.
    """

    without_depth: bool = False
    without_kernel: bool = False
    rounds: int | None = None


@dataclass(frozen=True)
class UpscaleOptions:
    """How to upscale.

    Attributes:
        scale: factor in (1, 8].
        steps: flow steps, 0 (the posterior mean) to 64.
        seed: of the noise, 0 .. 2^32 - 1.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        tile: longest LR side of a tile, >= 32; 0 or None for as large as fits. It is never larger than memory allows.
        consistency: "project" holds the result to the photo by its kernels, "report" only tells how far apart they are.
        focus: "all" sharpens everything, "keep" leaves blur that was meant, "reduce" half of it.
        focus_strength: share of meant blur that is left instead, 0..1, or None.
        source: "camera" for pixels as a camera saved them, "reduced" for those of pictures that were made smaller, and
            of raw or scanned ones; "auto" looks at them.
        precision: "float32" or "bfloat16", of the networks and of the steps of corrections; what the kernels leave
            unexplained, and colours, are always found in float32. The latter takes a quarter less time where the
            device multiplies it by itself, and moves pixels of photos by less than 1/255.
        ablation: parts to leave out.

    Raises:
        UsageError: for a value out of range.
    """

    scale: float = DEFAULT_SCALE
    steps: int = DEFAULT_STEPS
    seed: int = 0
    device: str = "auto"
    tile: int | None = None
    consistency: str = "project"
    focus: str = "all"
    focus_strength: float | None = None
    source: str = "auto"
    precision: str = "float32"
    ablation: Ablation = Ablation()

    def __post_init__(self) -> None:
        """Enforce the ranges."""
        if not 1.0 < self.scale <= 8.0:
            raise UsageError(
                f"Scale {self.scale:g} is out of range.", "Choose a scale above 1 and at most 8, for example -s 4."
            )
        if not 0 <= self.steps <= 64:
            raise UsageError(f"{self.steps} steps are out of range.", "Choose --steps from 0 (most faithful) to 64.")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"Seed {self.seed} is out of range.", "Choose --seed from 0 to 4294967295.")
        if self.tile is not None and self.tile != 0 and self.tile < 32:
            raise UsageError(
                f"A tile of {self.tile} pixels is out of range.", "Choose --tile 32 or more, or 0 to never tile."
            )
        if self.consistency not in CONSISTENCY:
            raise UsageError(f"There is no --consistency {self.consistency}.", f"Choose from {', '.join(CONSISTENCY)}.")
        if self.focus not in FOCUS:
            raise UsageError(f"There is no --focus {self.focus}.", f"Choose from {', '.join(FOCUS)}.")
        if self.source not in SOURCES:
            raise UsageError(f"There is no --source {self.source}.", f"Choose from {', '.join(SOURCES)}.")
        if self.precision not in PRECISIONS:
            raise UsageError(f"There is no --precision {self.precision}.", f"Choose from {', '.join(PRECISIONS)}.")
        if self.focus_strength is not None and not 0 <= self.focus_strength <= 1:
            raise UsageError(f"A focus strength of {self.focus_strength:g} is out of range.", "Choose from 0 to 1.")
        kind, _, index = self.device.partition(":")
        if kind not in ("auto", "cpu", "cuda", "mps") or (index and (kind != "cuda" or not index.isdigit())):
            raise UsageError(f"There is no device {self.device!r}.", "Use --device auto, cpu, cuda, cuda:N or mps.")

    @property
    def processed(self) -> float | None:
        """Probability that a camera processed the pixels, where it was said; None asks the photo."""
        return SOURCES[self.source]

    @property
    def kept_blur(self) -> float:
        """Share of meant blur that stays, 0..1; a strength that is asked for counts unless all is to be sharp."""
        if self.focus == "all" or self.focus_strength is None:
            return FOCUS[self.focus]
        return self.focus_strength


@dataclass(frozen=True)
class Delivery:
    """How a result is handed over, and what is asked for beside it.

    Attributes:
        bits: 8 or 16 gives bands of whole numbers where that is what comes out of the last step; None float32.
        map_pixels: how many pixels of a map are kept at most, or None for as many as fit.
        invented: also what of the picture the photo does not determine; kept whole in memory, 8 bits a value.
        confidence: also how sure every pixel is, kept likewise; costs further samples.
    """

    bits: int | None = None
    map_pixels: int | None = None
    invented: bool = False
    confidence: bool = False


#: In float32, with all maps and nothing beside it.
PLAIN = Delivery()


@dataclass(frozen=True)
class FileOptions:
    """How photos are read and written.

    Attributes:
        format: "png", "jpg", "webp", "tif" or "avif", for results whose name is not given.
        strip: write nothing but pixels: no EXIF, XMP, IPTC, profile or resolution.
        first_frame: read the first frame of what is animated or has several pages.
        max_pixels: refuse larger photos.

    Raises:
        UsageError: for a value out of range.
    """

    format: str = "png"
    strip: bool = False
    first_frame: bool = False
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        """Enforce the ranges."""
        if self.format not in FORMATS:
            raise UsageError(f"There is no format {self.format!r}.", f"Use --format {', '.join(FORMATS)}.")
        if self.max_pixels < 1:
            raise UsageError(f"--max-pixels {self.max_pixels} allows no photo.", "Give a positive number.")

    @property
    def suffix(self) -> str:
        """Ending of a result's name."""
        return f".{self.format}"


def config_file() -> Path:
    """The user's config file: `$XDG_CONFIG_HOME/ssr/config.toml`."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "ssr" / "config.toml"


def _from_file(path: Path) -> dict[str, Any]:
    """Settings of a config file; none if it is missing."""
    if not path.is_file():
        return {}
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"The config file {path} cannot be read: {error}.", "Mend or remove it.") from error
    for key, value in data.items():
        kind = CONFIGURABLE.get(key)
        if kind is None or not isinstance(value, kind) or isinstance(value, bool):
            known = ", ".join(f"{k} ({t.__name__})" for k, t in CONFIGURABLE.items())
            raise UsageError(f"{path} sets {key!r} in a way ssr does not know.", f"It may set {known}.")
    return data


def _from_environment() -> dict[str, Any]:
    """Settings of `SSR_DEVICE`, `SSR_TILE` and so on, one for everything that is configurable."""
    found: dict[str, Any] = {}
    for key, kind in CONFIGURABLE.items():
        text = os.environ.get(f"SSR_{key.upper()}")
        if not text:
            continue
        try:
            found[key] = kind(text)
        except ValueError as error:
            raise UsageError(f"SSR_{key.upper()}={text} is not a whole number.", "Mend or unset it.") from error
    return found


def upscale_options(**flags: Any) -> UpscaleOptions:
    """Options from defaults, config file, environment and the flags that were given.

    Args:
        flags: fields of `UpscaleOptions`; None means not given.

    Raises:
        UsageError: for a value out of range, wherever it came from.
    """
    known = {f.name for f in fields(UpscaleOptions)}
    given = {k: v for k, v in flags.items() if v is not None and k in known}
    return UpscaleOptions(**{**_from_file(config_file()), **_from_environment(), **given})
