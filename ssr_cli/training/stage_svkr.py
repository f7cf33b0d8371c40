"""Train SVKR's kernels: code, moments, explained photo, honest uncertainties, sharpening, light, every round."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssr_cli.models.lens import consensus
from ssr_cli.models.opinion import second_opinion
from ssr_cli.models.svkr import RoundState, Svkr, blur_radius
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.physics.light import decoded, encoded
from ssr_cli.physics.operators import SpatiallyVariantBlur, reduced_basis
from ssr_cli.physics.sharpening import desharpen
from ssr_cli.training.bank import Bank, bank_by
from ssr_cli.training.critic import Adversary
from ssr_cli.training.given_depth import given_depth
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.pool import Crops, ScenePool
from ssr_cli.training.validation import CROPS, mean_figures

_RANK = 24
#: Weight of the light that the blur happened in. Photos say little of it: what is learnt is how much to hedge.
_LIGHT = 2.0


def _shape(covariance: Tensor) -> Tensor:
    """Elongation of second moments (B, 3, h, w) along the axes and between them, (B, 2, h, w), 0 for round kernels."""
    yy, xx, yx = covariance.unbind(1)
    size = (yy + xx).clamp_min(0) / 2 + 0.5  # of tiny kernels the shape hardly matters
    return torch.stack([(yy - xx) / 2 / size, yx / size], 1)


class SvkrStage:
    """Loss and validation of SVKR; its depth refiner stays as it is, see `RefinerStage`."""

    name = "svkr"
    adversary: Adversary | None = None

    def __init__(self, model: Svkr, pool: ScenePool, options: TrainOptions) -> None:
        if model.refiner is not None:
            model.refiner.requires_grad_(False)
        self.trained: nn.Module = model
        self.networks: tuple[nn.Module, ...] = (model.encoder, *model.rounds)
        self.asks_light = model.config.light
        self.pool = pool
        self.options = options
        self.dictionary = default_dictionary()
        drawn = lambda count, seed: pool.crops(count, options.crop, seed)  # noqa: E731
        self.bank: Bank[Crops] = bank_by(drawn, options, 1)
        self.components, self.mapping = reduced_basis(self.dictionary.atoms, _RANK)

    def explain(self, crops: Crops, states: list[RoundState]) -> list[Tensor]:
        """What each round's kernels make of the sharp picture, (B, 3, h, w) encoded: `enc(A dec(x))`.

        What every component alone makes of it is the same in all rounds, and found once.
        """
        fields = [torch.einsum("blhw,lr->brhw", state.weights, self.mapping.to(state.weights)) for state in states]
        light = crops.light if self.asks_light else None
        with torch.no_grad():
            operator = SpatiallyVariantBlur(self.components, fields[0], self.dictionary.scale)
            answers = operator.responses(decoded(crops.hr, light))  # (B, C, R, h, w)
        return [encoded((answers * coefficients[:, None]).sum(2), light) for coefficients in fields]

    def round_loss(self, state: RoundState, crops: Crops, seen: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one round and its figures."""
        radius = blur_radius(crops.covariance)
        code = ((state.code - crops.code).square().sum(1) + 1e-6).sqrt().mean()
        error = (state.radius_px - radius).abs()
        # Squares, here and below: most kernels are round and half of the photos not sharpened, and an absolute error
        # would settle for that.
        shape = (_shape(state.covariance) - _shape(crops.covariance)).square().mean()
        edge = state.noise.shape[-1] // 8  # the crop's border has no photo beyond it
        inner = (..., slice(edge, -edge), slice(edge, -edge))
        said = consensus(state.gain.flatten(2), state.gain_trust.flatten(1))
        gain = said - crops.gain
        # The kernels answer for the optics alone; the noise level for all that they and the sharpening leave.
        optics = (crops.clean - seen)[inner]
        left = (desharpen(crops.lr, said.detach()) - seen.detach())[inner]
        noise = state.noise[inner]
        honest_noise = (0.5 * (left / noise).square() + noise.log()).mean()
        honest_radius = (error.detach() / state.confidence_px + state.confidence_px.log()).mean()
        gains = gain.square().mean() + 0.2 * (state.gain - crops.gain[..., None, None]).square().mean()
        loss = code + 0.15 * error.mean() + 3 * shape + 4 * optics.abs().mean() + 2 * gains
        loss = loss + 0.05 * (honest_noise + honest_radius)
        agreed = consensus(state.light.flatten(2), state.light_trust.flatten(1)) - crops.light[:, None]
        if self.asks_light:
            here = (state.light - crops.light.view(-1, 1, 1, 1)).square().mean()
            loss = loss + _LIGHT * (agreed.square().mean() + 0.2 * here)
        figures = {
            "code": code,
            "radius": error.mean(),
            "shape": shape,
            "explained": optics.square().mean().sqrt(),
            "gain": gain.abs().mean(),
            "light": agreed.abs().mean(),
        }
        return loss, figures

    def _run(self, crops: Crops, seed: tuple[int, ...]) -> tuple[Tensor, dict[str, Tensor]]:
        given, _ = given_depth(crops, seed)
        opinion = second_opinion(crops.lr, given, crops.estimated)
        states = self.trained(crops.lr, given, crops.processed, self.dictionary, opinion)
        with torch.autocast(crops.lr.device.type, enabled=False):
            explained = self.explain(crops, states)
            total: Tensor = torch.zeros((), device=crops.lr.device)
            figures: dict[str, Tensor] = {}
            for t, (state, seen) in enumerate(zip(states, explained, strict=True), 1):
                loss, named = self.round_loss(state, crops, seen)
                total = total + loss * (1.0 if t == len(states) else 0.5)
                figures |= {f"{k}{t}": v for k, v in named.items()}
        return total, figures

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Stage`."""
        return self._run(self.bank.batch(step), (self.options.seed, 1, step, 7))

    def validate(self) -> dict[str, float]:
        """See `Stage`: 64 held-out crops."""
        return mean_figures(
            lambda i: self._run(self.pool.crops(CROPS, self.options.crop, (99, i), validation=True), (98, i))[1]
        )
