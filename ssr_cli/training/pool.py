"""A pool of rendered scenes: made once by a few processes, kept on disk, read back whole, cropped at random.

Rendering a 512 x 512 scene takes about 0.4 s of one core and yields sixteen disjoint 32 x 32 LR crops, so making data
costs 25 ms a crop once and nothing when the pool is used again. Noise, sharpening and compression come as a crop is
drawn: the same place is never photographed twice in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from ssr_cli.errors import InputError
from ssr_cli.models.depth import DepthNet
from ssr_cli.models.opinion import in_units_of
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.synthesis.degrade import shoot
from ssr_cli.synthesis.origins import PROCESSED, Origin, draw_origins
from ssr_cli.synthesis.photo_scenes import random_scene
from ssr_cli.synthesis.truths import as_focused, with_grain

SHARD = 40
_SIZE = 512
#: How often training tells the whole truth of whether a camera processed a photo.
_SURE = 0.6
#: How often, of two places in cameras' scenes, the sharper one is taken: photos are focused on what they show.
_IN_FOCUS = 0.9
#: Share of a crop that is sharper than what a camera's sharpening answers.
_SHARPEST = 0.1
#: Variance, HR px^2, that the blur of a scene may differ by and still be one kernel's.
_SAME = 1e-3
#: Scene, row and column of a crop's corner.
Place = tuple[int, int, int]
#: What is told of edited photos where all is told that can be seen: fine detail alone proves little (`source`).
_EDITED = 0.7


@dataclass(frozen=True)
class Crops:
    """A batch of crops with their truth, float32.

    Attributes:
        hr: (B, 3, 4 n, 4 n) encoded.
        clean: (B, 3, n, n) encoded, what the optics gave.
        lr: (B, 3, n, n) encoded, the photo: with noise, sharpening and compression.
        gain: (B, 2) what sharpening did, see `Shot`.
        processed: (B,) what the models are told: the probability that a camera processed the photo. The truth, or
            something less sure.
        code: (B, P, n, n) kernel codes.
        covariance: (B, 3, n, n) HR px^2.
        light: (B,) share of linear light that the blur happened in, see `physics.light`.
        disparity: (B, 1, n, n).
        estimated: (B, 1, n, n) the lite net's disparity of the whole scene, if the pool has it, else the true one.
        fitted: (B, 1, n, n) the true one in the estimate's units.
    """

    hr: Tensor
    clean: Tensor
    lr: Tensor
    gain: Tensor
    processed: Tensor
    code: Tensor
    covariance: Tensor
    light: Tensor
    disparity: Tensor
    estimated: Tensor
    fitted: Tensor


def list_photos(folders: Sequence[Path]) -> list[Path]:
    """All photos of the folders, sorted.

    Raises:
        InputError: if there are none.
    """
    found = sorted(p for f in folders for p in f.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"})
    if not found:
        where = ", ".join(str(f) for f in folders) or "no folder"
        raise InputError(f"No training photos in {where}.", "Name folders of sharp photos with --photos.")
    return found


@lru_cache(maxsize=256)
def load_photo(path: Path) -> Tensor:
    """Centre 512 x 512 of a photo, (3, 512, 512) uint8; smaller photos are enlarged to fit."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
        if min(rgb.size) < _SIZE:
            ratio = _SIZE / min(rgb.size)
            rgb = rgb.resize((max(_SIZE, round(rgb.width * ratio)), max(_SIZE, round(rgb.height * ratio))))
        left, top = (rgb.width - _SIZE) // 2, (rgb.height - _SIZE) // 2
        pixels = np.asarray(rgb.crop((left, top, left + _SIZE, top + _SIZE)))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


def render_scenes(
    photos: Sequence[Path], first: int, items: int, seed: int, cameras: float = PROCESSED
) -> dict[str, Tensor]:
    """Scenes [first, first + items) with their truth: sharp pictures in 8 bits, the rest in half precision."""
    dictionary = default_dictionary()
    scenes = [
        random_scene(lambda i: load_photo(photos[i]), len(photos), dictionary, (seed, first + i), cameras)
        for i in range(items)
    ]
    return {
        "hr": torch.stack([(s.hr * 255).round().byte() for s in scenes]),
        "clean": torch.stack([s.lr.half() for s in scenes]),
        "code": torch.stack([s.code.half() for s in scenes]),
        "covariance": torch.stack([s.covariance.half() for s in scenes]),
        "disparity": torch.stack([s.disparity[None].half() for s in scenes]),
        "light": torch.tensor([s.light for s in scenes]),
        "camera": torch.tensor([s.camera for s in scenes]),
    }


class ScenePool:
    """Rendered scenes in memory, cropped deterministically by step.

    Args:
        shards: files of `render_scenes`.
        held_out: scenes at the end kept for validation.
        device: where the pool lives (a GPU holds it whole: 1.8 MB a scene).
        steady: whether cameras' crops are only of scenes that one kernel blurred. What is out of focus in a camera's
            photo is so in its truth as well; a flow that learns to sharpen it invents texture wherever it is smooth.
        processed: share of training crops from scenes of a camera's pixels, which it processed; of validation crops it
            is always the same.
        optical: whether all crops are of photos that nobody processed.
    """

    def __init__(
        self,
        shards: Sequence[Path],
        held_out: int,
        device: torch.device,
        processed: float = PROCESSED,
        steady: bool = False,
        optical: bool = False,
    ) -> None:
        parts = [_read(p) for p in shards]
        # kept beside the program: choosing places must not wait for the device
        self.variance = np.concatenate([p["covariance"][:, :2].float().mean(1).half().numpy() for p in parts])
        self.data = {
            k: torch.cat([p.pop(k) for p in parts]).to(device)
            for k in ("hr", "clean", "code", "covariance", "disparity", "light", "camera")
        }
        count = len(self.data["clean"]) - held_out
        camera = self.data.pop("camera").cpu().numpy()
        varies = np.ptp(self.variance.astype(np.float32), axis=(1, 2)) > _SAME
        self.scenes = _by_kind(camera[:count], 0, varies[:count] & steady)
        self.kept = _by_kind(camera[count:], count, varies[count:] & steady)
        self.device = device
        self.processed = processed
        self.optical = optical

    @property
    def side(self) -> int:
        """Of a scene, LR pixels."""
        return int(self.data["clean"].shape[-1])

    def crops(self, batch: int, side: int, seed: tuple[int, ...], validation: bool = False) -> Crops:
        """Random crops, a pure function of the seed.

        Args:
            batch: B.
            side: n, LR pixels.
            seed: e.g. (run seed, step).
            validation: from the held-out scenes instead.
        """
        rng = np.random.default_rng(seed)
        origins = draw_origins(batch, rng, PROCESSED if validation else self.processed)
        if self.optical:
            origins = np.full_like(origins, Origin.REDUCED)
        picks = [self._place(side, origin == Origin.CAMERA, validation, rng) for origin in origins]

        def cut(name: str, scale: int = 1) -> Tensor:
            n = side * scale
            data = self.data[name]
            # float32 first: autocast refuses to stack float16 on a CPU
            return torch.stack(
                [data[i, :, y * scale : y * scale + n, x * scale : x * scale + n].float() for i, y, x in picks]
            )

        # A loss is often asked for under autocast; half precision would be noise in the photos.
        with torch.autocast(self.device.type, enabled=False):
            hr, clean = as_focused(cut("hr", h_scale(self.data)) / 255, cut("clean"), origins, rng)
            sharpest = np.array([np.quantile(self._variance(place, side), _SHARPEST) for place in picks])
            # Of sharp kernels less than no variance is left once the sensor's own is taken away.
            shot = shoot(clean, origins, rng, np.sqrt(np.maximum(sharpest, 0)) / h_scale(self.data))
            hr = with_grain(hr, origins, shot.noise, rng)
        return Crops(
            hr=hr,
            clean=clean,
            lr=shot.lr,
            gain=shot.gain,
            processed=torch.from_numpy(_told(origins, rng, validation)).to(self.device),
            code=cut("code"),
            covariance=cut("covariance"),
            light=self.data["light"][[i for i, _, _ in picks]],
            disparity=cut("disparity"),
            estimated=cut("estimated" if "estimated" in self.data else "disparity"),
            fitted=cut("fitted" if "fitted" in self.data else "disparity"),
        )

    def _place(self, side: int, camera: bool, validation: bool, rng: np.random.Generator) -> Place:
        """Scene, row and column of a crop; of two in a camera's scenes often the sharper one."""
        room = self.side - side + 1
        scenes = (self.kept if validation else self.scenes)[int(camera)]
        two = [(int(rng.choice(scenes)), int(rng.integers(room)), int(rng.integers(room))) for _ in range(2)]
        if not camera or rng.random() >= _IN_FOCUS:
            return two[0]
        return min(two, key=lambda place: float(self._variance(place, side).mean()))

    def _variance(self, place: Place, side: int) -> npt.NDArray[np.float32]:
        """Variance of the blur in a crop, HR px^2, (side, side)."""
        scene, y, x = place
        return self.variance[scene, y : y + side, x : x + side].astype(np.float32)

    def estimate_depth(self, net: DepthNet) -> None:
        """Ask the lite net for the depth of every scene: stages behind it should know its errors.

        Args:
            net: on the pool's device.
        """
        with torch.inference_mode():
            said = torch.cat([net.estimate(clean[None].float()) for clean in self.data["clean"]])
        self.data["estimated"] = said.half().clone()
        self.data["fitted"] = in_units_of(said, self.data["disparity"].float()).clamp(0, 1).half().clone()


def _read(shard: Path) -> dict[str, Tensor]:
    """Scenes of `render_scenes`.

    Raises:
        InputError: if they were rendered before something that is asked of them now.
    """
    scenes = load_file(shard)
    if "light" not in scenes:
        raise InputError(f"{shard} is an older version's.", "Delete that folder of scenes; it is made anew.")
    return scenes


def _by_kind(
    camera: npt.NDArray[np.bool_], first: int, left_out: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    """Numbers, from `first` on, of the scenes that are not of a camera's pixels, and of those that are and serve.

    A pool so small that it has but one kind gives that for both.
    """
    every = first + np.arange(len(camera))
    others, cameras = every[~camera], every[camera & ~left_out]
    return (others if len(others) else every), (cameras if len(cameras) else every)


def _told(origins: npt.NDArray[np.int_], rng: np.random.Generator, validation: bool) -> npt.NDArray[np.float32]:
    """What models are told of photos: the truth, in training often something between it and not knowing.

    Of edited photos the truth is as little as can be seen.
    """
    sure = np.where(rng.random(len(origins)) < _SURE, 1.0, rng.uniform(0, 1, len(origins)))
    told = np.where(origins == Origin.CAMERA, 1.0, 0.0)
    told = 0.5 + (told - 0.5) * (1.0 if validation else sure)
    edited = np.where((sure == 1) | validation, _EDITED, rng.uniform(0.3, 0.8, len(origins)))
    return np.where(origins == Origin.EDITED, edited, told).astype(np.float32)


def h_scale(data: dict[str, Tensor]) -> int:
    """HR pixels per LR pixel of a pool."""
    return int(data["hr"].shape[-1] // data["clean"].shape[-1])
