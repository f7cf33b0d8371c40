"""`python -m ssr_cli.training`: the same as `ssr train`, without the console's dress."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from ssr_cli.training.options import TrainOptions
from ssr_cli.training.run import STAGES, train_stage


def _parser() -> argparse.ArgumentParser:
    """One flag per field of `TrainOptions`, in its words."""
    parser = argparse.ArgumentParser(prog="python -m ssr_cli.training")
    parser.add_argument("--stage", required=True, choices=STAGES)
    parser.add_argument("--photos", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=TrainOptions.out)
    parser.add_argument("--lpips-weights", type=Path)
    parser.add_argument("--pack-to", type=Path)
    parser.add_argument("--keep", nargs="*", default=TrainOptions.keep)
    parser.add_argument("--backbone")
    parser.add_argument("--init")
    parser.add_argument("--suite", default=TrainOptions.suite)
    for name in ("scenes", "steps", "batch", "crop", "seed", "threads", "workers", "validate_every"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(TrainOptions, name))
    for name in ("minutes", "learning_rate", "processed", "perceptual", "adversarial"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(TrainOptions, name))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--optical", action="store_true")
    parser.add_argument("--restart", action="store_true")
    return parser


def main() -> None:
    """Parse and run."""
    given: dict[str, Any] = vars(_parser().parse_args())
    given |= {name: tuple(given[name]) for name in ("photos", "keep")}
    options = TrainOptions(**{f.name: given[f.name] for f in fields(TrainOptions)})
    train_stage(options, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
