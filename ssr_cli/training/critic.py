"""A patch critic for the flow: is this a photo, given its mean? Used in training only; nothing of it is shipped."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class Critic(nn.Module):
    """Scores every place of a picture; sees about 46 x 46 HR pixels of picture and posterior mean.

    Spectral normalisation (arXiv 1802.05957) keeps it smooth, so that its gradient is of use from the start.

    Args:
        width: channels of the first layer.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        sizes = (width, 2 * width, 3 * width, 3 * width)
        layers: list[nn.Module] = [nn.Conv2d(6, sizes[0], 3, padding=1)]
        for a, b, stride in zip(sizes, sizes[1:], (2, 2, 1), strict=False):
            kernel = 4 if stride == 2 else 3
            layers += [nn.LeakyReLU(0.2), spectral_norm(nn.Conv2d(a, b, kernel, stride=stride, padding=1))]
        layers += [nn.LeakyReLU(0.2), spectral_norm(nn.Conv2d(sizes[-1], 1, 3, padding=1))]
        self.layers = nn.Sequential(*layers)

    def forward(self, picture: Tensor, mean: Tensor) -> Tensor:
        """Scores (B, 1, H / 4, W / 4) of pictures (B, 3, H, W) whose posterior means are (B, 3, H, W)."""
        scores: Tensor = self.layers(torch.cat([picture - 0.5, 4 * (picture - mean)], 1))
        return scores.float()


class Adversary:
    """A critic and the batch it learns from: the one the flow answered last.

    Args:
        device: where the critic lives.
    """

    def __init__(self, device: torch.device) -> None:
        self.network: nn.Module = Critic().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._seen: tuple[Tensor, Tensor, Tensor] | None = None

    def doubt(self, answer: Tensor, truth: Tensor, mean: Tensor) -> Tensor:
        """How little the critic believes the flow's answer: what the flow lowers. Keeps the batch for `loss`."""
        self._seen = (truth, answer.detach(), mean)
        self.network.requires_grad_(False)
        doubt: Tensor = -self.network(answer, mean).mean()
        self.network.requires_grad_(True)
        return doubt

    def loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The critic's own loss on that batch."""
        if self._seen is None:
            raise ValueError("the critic has seen no batch yet")
        truth, answer, mean = self._seen
        loss = critic_loss(self.network(truth, mean), self.network(answer, mean))
        return loss, {"critic": loss}


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of the critic (arXiv 1705.02894) from its scores."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
