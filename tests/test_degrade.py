"""What a camera does after the optics: noise, sharpening with its truth, compression like a real codec's."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ssr_cli.physics.sharpening import GAIN_AT, desharpen, log_gain, sharpen, sharpening_of, soften
from ssr_cli.synthesis import truths
from ssr_cli.synthesis.degrade import _enlarged, answering, shoot
from ssr_cli.synthesis.jpeg import jpeg
from ssr_cli.synthesis.origins import Origin, draw_origins
from ssr_cli.synthesis.truths import _denoised, as_focused, with_grain


def _smooth(count: int = 1, size: int = 64) -> torch.Tensor:
    """Pictures (count, 3, size, size) with slopes, edges and some grain."""
    generator = torch.Generator().manual_seed(4)
    coarse = torch.rand(count, 3, 8, 8, generator=generator)
    picture = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    picture[..., size // 2 :, :] = picture[..., size // 2 :, :].round()
    return (picture + 0.02 * torch.randn(picture.shape, generator=generator)).clamp(0, 1)


@pytest.mark.parametrize("quality", [50, 80, 97])
@pytest.mark.parametrize("halved", [False, True])
def test_compression_is_that_of_a_real_codec(quality: int, halved: bool) -> None:
    picture = (_smooth(size=72) * 255).round() / 255  # 72 is no multiple of 16: the border is repeated
    buffer = io.BytesIO()
    pixels = Image.fromarray((picture[0] * 255).byte().permute(1, 2, 0).numpy())
    pixels.save(buffer, "JPEG", quality=quality, subsampling=2 if halved else 0)
    real = torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1).float() / 255
    ours = jpeg(picture, torch.tensor([float(quality)]), torch.tensor([halved]))[0]
    lost = float((real - picture[0]).abs().mean())
    # near quality 100 all that is left is the rounding of integer arithmetic
    assert float((ours - real).abs().mean()) < max(0.25 * lost, 0.8 / 255)
    assert torch.allclose(ours * 255, (ours * 255).round(), atol=1e-3)


def test_every_picture_is_compressed_with_its_own_numbers() -> None:
    pictures = _smooth(3)
    quality, halved = torch.tensor([50.0, 90.0, 70.0]), torch.tensor([True, False, True])
    together = jpeg(pictures, quality, halved)
    for i in range(3):
        alone = jpeg(pictures[i : i + 1], quality[i : i + 1], halved[i : i + 1])
        assert torch.allclose(together[i], alone[0], atol=1e-6)


def test_sharpening_makes_halos_and_keeps_flat_places() -> None:
    edge = torch.zeros(1, 3, 24, 24)
    edge[..., 12:] = 0.5
    crisp = sharpen(edge + 0.2, torch.tensor([1.0]), torch.tensor([0.8]))
    assert float(crisp.max()) > 0.72
    assert float(crisp.min()) < 0.18
    assert torch.allclose(crisp[..., :4], torch.full((1, 3, 24, 4), 0.2), atol=1e-4)
    assert float(crisp.mean()) == pytest.approx(float(edge.mean()) + 0.2, abs=1e-3)


@pytest.mark.parametrize(("sigma", "amount"), [(0.7, 1.2), (1.5, 0.5), (2.2, 0.0)])
def test_the_told_gain_is_what_a_wave_gets(sigma: float, amount: float) -> None:
    told = log_gain(torch.tensor([sigma]), torch.tensor([amount]))[0]
    for frequency, expected in zip(GAIN_AT, told, strict=True):
        wave = torch.cos(2 * torch.pi * frequency * torch.arange(120.0)).expand(1, 3, 120, 120)
        crisp = sharpen(wave, torch.tensor([sigma]), torch.tensor([amount]))
        inner = slice(20, 100)
        gain = (crisp[..., inner] * wave[..., inner]).sum() / wave[..., inner].square().sum()
        assert float(gain.log()) == pytest.approx(float(expected), abs=1e-3)


@pytest.mark.parametrize(("sigma", "amount"), [(0.6, 1.6), (1.2, 0.4), (2.0, 1.0), (1.0, 0.0)])
def test_sharpening_is_read_from_its_gains_and_taken_back(sigma: float, amount: float) -> None:
    sigmas, amounts = torch.tensor([sigma]), torch.tensor([amount])
    gain = log_gain(sigmas, amounts)
    found, strength = sharpening_of(gain)
    assert torch.allclose(log_gain(found, strength), gain, atol=0.01)
    picture = _smooth()
    crisp = sharpen(picture, sigmas, amounts)
    back = desharpen(crisp, gain)
    assert float((back - picture).abs().mean()) <= 0.05 * float((crisp - picture).abs().mean())


def test_pictures_of_a_batch_are_desharpened_each_by_its_own() -> None:
    pictures = _smooth(3, 40)
    gain = torch.tensor([[0.1, 0.5], [0.0, 0.0], [0.2, 0.6]])
    together = desharpen(pictures, gain)
    assert torch.equal(together[1], pictures[1])
    for i in (0, 2):
        assert torch.allclose(together[i], desharpen(pictures[i : i + 1], gain[i : i + 1])[0], atol=1e-5)


def test_softening_keeps_constants_and_the_mean_of_waves() -> None:
    flat = torch.full((2, 3, 20, 20), 0.37)
    assert torch.allclose(soften(flat, torch.tensor([0.4, 1.9])), flat, atol=1e-6)
    dot = torch.zeros(1, 3, 41, 41)
    dot[..., 20, 20] = 1
    bell = soften(dot, torch.tensor([1.5]))[0, 0]
    axis = torch.arange(41.0) - 20
    assert float((bell.sum(0) * axis.square()).sum()) == pytest.approx(1.5**2, rel=0.02)


def test_shots_are_mild_follow_the_seed_and_tell_their_sharpening() -> None:
    clean = _smooth(40, 32)
    first, again, other = (shoot(clean, draw_origins(40, rng), rng) for rng in map(np.random.default_rng, (1, 1, 2)))
    assert torch.equal(first.lr, again.lr)
    assert torch.equal(first.gain, again.gain)
    assert not torch.equal(first.lr, other.lr)
    assert torch.allclose(first.lr * 255, (first.lr * 255).round(), atol=1e-3)
    assert 0 <= float(first.lr.min()) <= float(first.lr.max()) <= 1
    sharpened = first.gain[:, 1] > 0
    assert 10 < int(sharpened.sum()) < 32
    assert float(first.gain.min()) >= 0
    assert float((first.lr - clean).abs().mean()) < 0.06


def test_photos_out_of_cameras_are_softer_and_stay_pairs(monkeypatch) -> None:
    """What is softened at the size of the result is softened by as much in the photo: the kernel between them stays.

    Denoising is the sharp pictures' alone; without it the two hardly differ.
    """
    hr = 0.25 + 0.5 * _smooth(40, 128)  # nothing is clipped

    def photographed(sharp: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(soften(sharp, torch.full((40,), 2.0)), 4)

    clean = photographed(hr)
    origins = np.where(np.arange(40) % 2 == 0, Origin.CAMERA, Origin.EDITED)
    soft, seen = as_focused(hr, clean, origins, np.random.default_rng(3))
    lost = (soft - hr).abs().mean((1, 2, 3))
    assert float(lost[::2].mean()) > 3 * float(lost[1::2].mean())
    assert float((photographed(soft) - seen).abs().mean()) < 0.5 / 255
    monkeypatch.setattr(truths, "_CORE", (0.0, 0.0))
    soft, seen = as_focused(hr, clean, origins, np.random.default_rng(3))
    assert float((photographed(soft) - seen).abs().mean()) < 0.3 * float((seen - clean).abs().mean())


def test_cameras_take_weak_detail_for_noise_and_leave_edges() -> None:
    weave = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 3, 96, 96))).float()
    weak, edge = 0.5 + 0.4 / 255 * weave, torch.where(torch.arange(96) < 48, 0.2, 0.8).expand(1, 3, 96, 96)
    core = torch.tensor([1.5 / 255])
    left = _denoised(weak, core).std() / weak.std()
    assert float(left) < 0.35
    sharp = soften(edge, torch.tensor([0.7]))
    steepest = lambda z: float((z[..., 1:] - z[..., :-1]).max())  # noqa: E731
    assert steepest(_denoised(sharp, core)) > 0.97 * steepest(sharp)
    assert torch.allclose(_denoised(sharp, torch.zeros(1)), sharp, atol=1e-3)


def test_noise_tells_nothing_of_sharpening() -> None:
    """On flat ground, how rough the noise is must not separate sharpened photos from others a camera processed."""
    flat = torch.full((600, 3, 24, 24), 0.5)
    shot = shoot(flat, np.full(600, Origin.CAMERA), np.random.default_rng(5))
    noise = (shot.lr - shot.lr.mean((2, 3), keepdim=True)).mean(1)
    power = noise.square().mean((1, 2))
    rough = (noise[:, :, 1:] - noise[:, :, :-1]).square().mean((1, 2)) / power.clamp_min(1e-9)
    seen = power > (0.5 / 255) ** 2
    sharpened = shot.gain[:, 1] > 0.1
    a, b = rough[seen & sharpened], rough[seen & ~sharpened]
    threshold = torch.cat([a, b]).sort().values
    # the best threshold on roughness tells little more than chance does
    best = max(float(((a > t).float().mean() + (b <= t).float().mean()) / 2) for t in threshold)
    assert best < 0.72


def test_cameras_sharpen_as_their_blur_asks_for() -> None:
    """Blur and mask together pass the peak at the frequency where they pass most, and no more anywhere."""
    blur, mask = np.array([0.5, 0.8, 1.1]), np.array([1.5, 0.9, 1.2])
    peak = np.array([1.05, 1.2, 1.3])
    amounts = answering(blur, mask, peak)
    f = np.linspace(0.005, 0.5, 400)[:, None]
    passed = np.exp(-2 * (np.pi * f * blur) ** 2) * (1 + amounts * (1 - np.exp(-2 * (np.pi * f * mask) ** 2)))
    assert np.allclose(passed.max(0), peak, rtol=0.01)
    assert (answering(np.full(3, 4.0), mask, peak) == 3).all()  # no camera sharpens without bounds
    clean = _smooth(200, 24)
    origins = np.full(200, Origin.CAMERA)
    sharp, soft = (
        shoot(clean, origins, np.random.default_rng(2), np.full(200, sigma)).gain[:, 1].median() for sigma in (0.5, 1.0)
    )
    assert float(soft) > 1.3 * float(sharp)


def test_edited_photos_have_a_films_grain_and_no_others() -> None:
    rng = np.random.default_rng(5)
    grey = torch.full((400, 3, 40, 40), 0.5)
    for origin, low, high in ((Origin.EDITED, 20, 28), (Origin.REDUCED, 13, 18), (Origin.CAMERA, 8, 13)):
        noise = shoot(grey, np.full(400, origin), rng).noise * 255
        assert low < float(noise.max()) < high
        loud = float((noise > 16).float().mean())
        assert (0.08 < loud < 0.25) if origin == Origin.EDITED else loud < 0.02


def test_edited_photos_are_sharpened_and_compressed_and_reduced_ones_are_raw_but_for_a_few() -> None:
    flat = torch.full((300, 3, 32, 32), 0.5)
    raw, edited = (shoot(flat, np.full(300, o), np.random.default_rng(1)) for o in (Origin.REDUCED, Origin.EDITED))
    assert 0.03 < float((raw.gain[:, 1] > 0).float().mean()) < 0.15, "camera pixels to which noise was added later"
    assert 0.45 < float((edited.gain[:, 1] > 0).float().mean()) < 0.75

    def coloured(shot: torch.Tensor) -> float:
        """The usual noise that the channels do not share."""
        return float((shot - shot.mean(1, keepdim=True)).square().mean((1, 2, 3)).sqrt().median())

    assert coloured(edited.lr) < 0.5 * coloured(raw.lr)


def test_some_edited_photos_were_enlarged_before_and_the_others_are_as_they_were() -> None:
    rng = np.random.default_rng(3)
    photos = torch.from_numpy(rng.random((40, 3, 48, 48), dtype=np.float32))
    hit = np.arange(40) % 2 == 0
    seen = _enlarged(photos, hit, np.random.default_rng(5))
    torch.testing.assert_close(seen[~torch.from_numpy(hit)], photos[~torch.from_numpy(hit)], rtol=0, atol=0)

    def finest(rgb: torch.Tensor) -> torch.Tensor:
        """The share of each picture's power above 0.4 cycles per pixel from row to row."""
        power = torch.fft.fft2(rgb - rgb.mean((2, 3), keepdim=True)).abs().square().sum(1)
        fine = torch.fft.fftfreq(48).abs() > 0.4
        return power[:, fine].sum((1, 2)) / power.sum((1, 2))

    # 1.3 to 2.2 times fewer pixels hold nothing beyond 0.38 cycles per pixel of the enlarged picture
    assert float(finest(photos).min()) > 0.15
    assert float(finest(seen)[torch.from_numpy(hit)].max()) < 0.08
    # edges keep their place: means are those of before to within what noise without a filter leaves
    assert float((seen.mean((2, 3)) - photos.mean((2, 3))).abs().max()) < 0.05


def test_the_shares_of_origins_are_as_asked() -> None:
    origins = draw_origins(4000, np.random.default_rng(2), camera=0.6)
    shares = [float((origins == o).mean()) for o in Origin]
    assert shares == pytest.approx([0.24, 0.6, 0.16], abs=0.03)


def test_cameras_truths_have_as_much_grain_as_the_photo_and_others_none() -> None:
    grey = torch.full((3, 3, 64, 64), 0.5)
    origins = np.array([Origin.CAMERA, Origin.CAMERA, Origin.REDUCED])
    truth = with_grain(grey, origins, torch.tensor([0.1, 1.0, 1.0]) / 255, np.random.default_rng(0))
    quiet, noisy, other = (float(picture.std()) * 255 for picture in truth)
    assert 0.05 < quiet < 0.3
    assert 0.3 < noisy < 1.6
    assert other < 1e-4
    assert float((truth.mean((1, 2, 3)) - 0.5).abs().max()) < 0.1 / 255


def test_shots_tell_their_noise() -> None:
    flat = torch.full((300, 3, 32, 32), 0.5)
    shot = shoot(flat, np.full(300, Origin.REDUCED), np.random.default_rng(1))
    seen = (shot.lr - shot.lr.mean((2, 3), keepdim=True)).flatten(1).std(1)
    loud = shot.noise > 2 / 255
    assert loud.any()
    assert float((seen / shot.noise)[loud].median()) == pytest.approx(1, abs=0.05)
