"""What is measured of ours: as asked for and the mean; with ablation, every part left out in turn."""

from __future__ import annotations

from dataclasses import replace

from ssr_cli.settings import Ablation, UpscaleOptions

OURS, MEAN = "ssr", "ssr, 0 steps"


def our_options(options: UpscaleOptions, ablate: bool = False) -> dict[str, UpscaleOptions]:
    """Our rows by name.

    Args:
        options: as asked for; a second row has the same with `steps=0`, unless that is what was asked for.
        ablate: add a row for every part left out and for other numbers of steps.
    """
    mean = replace(options, steps=0)
    rows = {MEAN: mean} if options.steps == 0 else {OURS: options, MEAN: mean}
    if not ablate:
        return rows
    for steps in (1, 2, 4, 8):
        if steps != options.steps:
            rows[f"ssr, {steps} step{'s' * (steps > 1)}"] = replace(options, steps=steps)
    left_out = {
        "AMF without depth": Ablation(without_depth=True),
        "AMF without kernel": Ablation(without_kernel=True),
        "AMF without both": Ablation(without_depth=True, without_kernel=True),
        "SVKR, one round": Ablation(rounds=1),
    }
    rows |= {name: replace(options, ablation=what) for name, what in left_out.items()}
    rows |= {f"{name}, 0 steps": replace(mean, ablation=what) for name, what in left_out.items()}
    rows["without consistency"] = replace(options, consistency="off")
    rows["without consistency, 0 steps"] = replace(mean, consistency="off")
    return rows
