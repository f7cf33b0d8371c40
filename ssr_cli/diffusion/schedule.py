"""The noise schedule of a latent diffusion model: times, what a prediction means, and the step between two times.

Deterministic DDIM (arXiv 2010.02502) on trailing times (arXiv 2305.08891); equal to diffusers' own schedulers, which
the tests compare it with. Written out because the start is a noised photo and not pure noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

EPSILON, VELOCITY, SAMPLE = "epsilon", "v_prediction", "sample"


@dataclass(frozen=True)
class Schedule:
    """A variance-preserving schedule.

    Attributes:
        alphas: (T,) float32, cumulated: signal power at every time.
        prediction: what the net predicts: "epsilon", "v_prediction" or "sample".
    """

    alphas: Tensor
    prediction: str = EPSILON

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Schedule:
        """Read a diffusers scheduler_config.json.

        Raises:
            ValueError: for a schedule or a prediction this program does not know.
        """
        for other in ("trained_betas", "rescale_betas_zero_snr"):
            if config.get(other):
                raise ValueError(f"a schedule with {other!r} is not known")
        count = int(config.get("num_train_timesteps", 1000))
        low, high = float(config.get("beta_start", 0.0001)), float(config.get("beta_end", 0.02))
        kind = config.get("beta_schedule", "linear")
        if kind == "scaled_linear":
            betas = torch.linspace(low**0.5, high**0.5, count, dtype=torch.float32).square()
        elif kind == "linear":
            betas = torch.linspace(low, high, count, dtype=torch.float32)
        else:
            raise ValueError(f"the schedule {kind!r} is not known")
        prediction = config.get("prediction_type", EPSILON)
        if prediction not in (EPSILON, VELOCITY, SAMPLE):
            raise ValueError(f"the prediction {prediction!r} is not known")
        return cls(torch.cumprod(1 - betas, 0), prediction)

    def times(self, steps: int, strength: float = 1.0) -> list[int]:
        """Times of a run, falling, the first one `strength` of the way up.

        Args:
            steps: >= 1.
            strength: in (0, 1]; 1 begins at pure noise.
        """
        top = max(1, round(strength * len(self.alphas)))
        return [max(0, round(top * (steps - i) / steps) - 1) for i in range(steps)]

    def noised(self, clean: Tensor, noise: Tensor, time: int | Tensor) -> Tensor:
        """The latent at a time: `sqrt(a) clean + sqrt(1 - a) noise`; times may be (B,)."""
        a = self._power(time, clean)
        return a.sqrt() * clean + (1 - a).sqrt() * noise

    def clean(self, z: Tensor, predicted: Tensor, time: int | Tensor) -> Tensor:
        """The clean latent a prediction at (z, time) stands for."""
        a = self._power(time, z)
        if self.prediction == EPSILON:
            return (z - (1 - a).sqrt() * predicted) / a.sqrt()
        if self.prediction == VELOCITY:
            return a.sqrt() * z - (1 - a).sqrt() * predicted
        return predicted

    def target(self, clean: Tensor, noise: Tensor, time: int | Tensor) -> Tensor:
        """What the net should have predicted."""
        a = self._power(time, clean)
        if self.prediction == EPSILON:
            return noise
        if self.prediction == VELOCITY:
            return a.sqrt() * noise - (1 - a).sqrt() * clean
        return clean

    def step(self, z: Tensor, clean: Tensor, time: int, following: int | None) -> Tensor:
        """The latent at the following time, or the clean one after the last."""
        if following is None:
            return clean
        a = self._power(time, z)
        noise = (z - a.sqrt() * clean) / (1 - a).sqrt()
        return self.noised(clean, noise, following)

    def _power(self, time: int | Tensor, like: Tensor) -> Tensor:
        index = torch.as_tensor(time, device=self.alphas.device)
        return self.alphas[index].to(like).view(-1, *([1] * (like.ndim - 1)))
