"""Two trained suites in one checkpoint: one for photos that were processed, one for those that nobody processed."""

from __future__ import annotations

from typing import Any

from ssr_cli.errors import UsageError
from ssr_cli.suite import OPTICAL, SuiteConfig, split_state
from ssr_cli.training.loop import Report
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.pack import EIGHT_BITS, listed
from ssr_cli.weights import load_checkpoint, save_checkpoint


def _as_read_today(config: dict[str, Any]) -> dict[str, Any]:
    """A suite's numbers with those that had no name yet when it was trained."""
    return SuiteConfig.from_dict(config).to_dict()


def join(options: TrainOptions, report: Report) -> dict[str, float]:
    """Write a checkpoint with two suites, and its attribution list.

    Args:
        options: `init` names the checkpoint whose suite is the first, `suite` the one whose suite becomes the optical
            one, `pack_to` the checkpoint that is written, `photos` the folders both were trained on.
        report: receives a line.

    Returns:
        Its size in MB.

    Raises:
        UsageError: if one of them was not named.
        WeightsError: if a checkpoint cannot be read.
    """
    if options.pack_to is None or options.init is None:
        raise UsageError("The join stage needs two checkpoints and a target.", "Name --init, --suite and --pack-to.")
    first, second = load_checkpoint(options.init), load_checkpoint(options.suite)
    plain = {name: numbers for name, numbers in first.config.items() if name != OPTICAL}
    config = _as_read_today(plain) | {OPTICAL: _as_read_today(second.config)}
    state, _ = split_state(first.state)
    own, _ = split_state(second.state)
    state |= {f"{OPTICAL}.{name}": tensor for name, tensor in own.items() if not name.startswith("depth.")}
    provenance = {**first.provenance, OPTICAL: second.provenance}
    in_eight = (*EIGHT_BITS, *(f"{OPTICAL}.{part}" for part in EIGHT_BITS))
    save_checkpoint(options.pack_to, config, state, provenance, in_eight)
    return listed(options, options.pack_to, report)
