"""A claimed kernel field on trial: is it contradicted by parts of the photo it was not estimated from?

The claim is "supported" when none of its rivals explains the hidden places better by more than a margin:

- *narrower*: the same kernels with their variance over 1.4. A field that is too wide loses to it.
- *rotated* by 90 degrees, and *stretched* by 1.8 : 1 along the best of four directions in every region. A field with a
  wrong direction, or round where the blur is not, loses to these.
- *pointed*: stretched by 1.4 : 1 along the direction that SVKR sees in the hidden pixels themselves. And where these
  show a direction that the claim has nothing of, it fails whatever the likelihoods.
- *bicubic*: no blur but the sensor's pixel; and the *best single kernel* of the dictionary for the whole photo.

Explaining is measured by `physics.spectra`, which knows no networks: these only name rivals. The margins were chosen on
claims about 24 training photos; `ssr bench --synthetic PHOTOS --trial` measures what they are worth. A fence, bricks or
lines of text have spectra that do not fall steadily and would convict true kernels: patches that nothing explains are
not heard. A soft scene can acquit kernels that are too wide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ssr_cli.estimation import Progress
from ssr_cli.frames import DepthMap, KernelField, Photo
from ssr_cli.hiding import fold, grown, without
from ssr_cli.physics import directions, spectra
from ssr_cli.physics.kernels import KernelDictionary
from ssr_cli.physics.noise import estimate_noise
from ssr_cli.pipeline import analyse
from ssr_cli.settings import UpscaleOptions
from ssr_cli.suite import Models

#: Side of a hidden block, LR pixels, and how far around it estimates are not trusted either.
_BLOCK, _AROUND = 24, 4
#: Photos up to so many pixels have every block hidden once, in four estimates; larger ones a quarter, in one.
_SMALL = 256 * 256
#: At most so many patches are judged, at least so many are needed.
_MOST, _LEAST = 256, 12
#: Shares of the blind estimate of the noise that are tried: texture makes it too large.
_NOISE_SHARES = (0.5, 0.7, 0.85, 1.0)
#: Ratio of the axes of a stretched rival, and side of the regions that have one direction, LR pixels; they are larger
#: where they would have fewer patches than this, as the best of four directions is always a little better by chance.
_STRETCH, _REGION, _EACH = 1.8, 32, 8
#: Ratio of the axes of a pointed rival.
_POINTED = 1.4
#: Patches are judged that the claim, no blur or the best single kernel explains to so many nats per frequency: where
#: none does, a likelihood says what kind of picture it is and not what blurred it. Chosen on 25 training photos, of
#: whose true claims 80 of 100 then pass (69 before) and of whose wrong ones 78 are caught (85).
_EXPLAINED = 0.62
#: Nats per patch by which a rival must be better for the claim to fail. Between those that convict a true claim of 24
#: training photos as seldom as they acquit a wrong one, and those with the largest sum of both shares; how far between
#: was chosen on the bench, for true claims to pass in 95 and wrong ones to be caught in 90 of 100 cases.
MARGINS = {
    "narrower": 0.57,
    "rotated": 0.28,
    "stretched": 1.27,
    "pointed": 0.74,
    "bicubic": 0.59,
    "best single kernel": 1.53,
}
#: What a claim is told that fails by its direction alone.
_NO_DIRECTION = "Places that were kept from the estimate show a direction of blur that these kernels have nothing of"


@dataclass(frozen=True)
class Verdict:
    """What the trial says.

    Attributes:
        verdict: "supported", "not supported" or "not tested".
        reason: a sentence.
        patches: how many were judged.
        advantage: nats per patch by which the claim is better than each rival; negative where the rival is.
        single: name of the best single kernel.
        fallback: name of the kernel to assume for the whole photo instead, where the claim is not supported.
    """

    verdict: str
    reason: str
    patches: int
    advantage: dict[str, float]
    single: str | None = None
    fallback: str | None = None


def try_claim(
    rgb: Tensor,
    weights: Tensor,
    places: Tensor,
    dictionary: KernelDictionary,
    change: spectra.Map = spectra.IDENTITY,
    seen: Tensor | None = None,
) -> Verdict:
    """Judge claimed kernels at some patches of a photo.

    Args:
        rgb: (3, h, w), encoded.
        weights: (P, L), claimed kernel of each patch as weights over the dictionary.
        places: (P, 2), row and column of each patch's corner.
        dictionary: the atoms.
        change: claims these kernels mapped, for claims that are wrong in a known way.
        seen: (P, L), kernels that SVKR sees at these patches; None asks nobody.
    """
    if len(places) < _LEAST:
        return Verdict("not tested", f"The photo has fewer than {_LEAST} patches to judge by.", len(places), {})
    scale, transfer = dictionary.scale, spectra.frequencies(dictionary.scale).transfer
    power = spectra.periodograms(rgb, places, scale)
    sigma, ours = _noise_and_likelihoods(power, weights @ transfer(change), estimate_noise(rgb), scale)

    def alone(atom: int) -> Tensor:
        kernels = transfer()[atom : atom + 1].expand(len(weights), -1)
        return spectra.log_likelihoods(power, kernels, sigma, scale, spectra.BETAS)

    one = _best_single(power, transfer(), sigma, scale)
    unblurred, single = alone(0), alone(one)
    fit = torch.stack([spectra.misfit(power, table) for table in (ours, unblurred, single)]).min(0).values
    told = fit < _EXPLAINED
    if int(told.sum()) < _LEAST:
        return Verdict("not tested", f"Fewer than {_LEAST} patches are explained by any kernel.", int(told.sum()), {})
    heard, claimed, places = power[told], weights[told], places[told]

    def changed(further: spectra.Map) -> Tensor:
        kernels = claimed @ transfer(spectra.after(further, change))
        return spectra.log_likelihoods(heard, kernels, sigma, scale, spectra.BETAS)

    turns = [changed(spectra.stretched(n * math.pi / 4, _STRETCH)) for n in range(4)]
    rivals = {
        "narrower": changed(spectra.zoomed(1 / math.sqrt(1.4))),
        "rotated": changed(spectra.QUARTER_TURN),
        "stretched": _best_turns(torch.stack(turns), places),
        "bicubic": unblurred[:, told],
        "best single kernel": single[:, told],
    }
    against = False
    if seen is not None:
        moments = dictionary.covariance @ seen[told].mT
        ways = torch.stack([changed(_along(n)) for n in range(directions.COUNT)])  # (T, B, P)
        numbers = directions.number_of(moments).expand(1, ways.shape[1], -1)
        rivals["pointed"] = ways.gather(0, numbers)[0]
        against = directions.contradicted(directions.mapped(dictionary.covariance @ claimed.mT, change), moments)
    advantage = {name: spectra.advantage(ours[:, told], theirs) for name, theirs in rivals.items()}
    return _judged(advantage, len(places), dictionary.names[one], against)


def _along(number: int) -> spectra.Map:
    """The map that makes kernels longer along one of the directions."""
    return spectra.stretched(number * math.pi / directions.COUNT, _POINTED)


#: Kernels of patches as weights (P, L) over the dictionary, and how they are mapped.
Claim = tuple[Tensor, spectra.Map]


def preference(rgb: Tensor, places: Tensor, dictionary: KernelDictionary, first: Claim, second: Claim) -> float:
    """How much better patches of a photo are explained by one claim than by another, nats per patch.

    Args:
        rgb: (3, h, w), encoded.
        places: (P, 2), row and column of each patch's corner.
        dictionary: the atoms.
        first: also says the noise.
        second: what it is compared with.
    """
    scale, transfer = dictionary.scale, spectra.frequencies(dictionary.scale).transfer
    power = spectra.periodograms(rgb, places, scale)
    kernels, others = (weights @ transfer(change) for weights, change in (first, second))
    sigma, ours = _noise_and_likelihoods(power, kernels, estimate_noise(rgb), scale)
    return spectra.advantage(ours, spectra.log_likelihoods(power, others, sigma, scale, spectra.BETAS))


def _noise_and_likelihoods(power: Tensor, transfer: Tensor, blind: float, scale: int) -> tuple[float, Tensor]:
    """The noise of the luma that suits the claim best, and the claim's likelihoods with it."""
    found = []
    for share in _NOISE_SHARES:
        sigma = spectra.luma_noise(max(blind, 0.6 / 255) * share)
        found.append((sigma, spectra.log_likelihoods(power, transfer, sigma, scale, spectra.BETAS)))
    return max(found, key=lambda pair: float(spectra.score(pair[1])))


def _best_turns(turns: Tensor, places: Tensor) -> Tensor:
    """Likelihoods (B, P) of the best of several directions (T, B, P), chosen for regions, not for single patches."""
    height, width = (int(n) + spectra.PATCH for n in places.max(0).values)
    side = max(_REGION, round(math.sqrt(height * width * _EACH / len(places))))
    corner = places.div(side, rounding_mode="floor")
    region = corner[:, 0] * (int(corner[:, 1].max()) + 1) + corner[:, 1]
    totals = turns.new_zeros(*turns.shape[:2], int(region.max()) + 1).index_add_(2, region, turns)
    best = totals.argmax(0)[:, region]  # (B, P)
    return turns.gather(0, best[None])[0]


def _best_single(power: Tensor, transfer: Tensor, sigma: float, scale: int) -> int:
    """The atom that suits every second patch best: the others judge it as well as the claim."""
    seen, betas = power[::2], (spectra.BETAS[2],)
    totals = [
        spectra.log_likelihoods(seen, atom[None].expand(len(seen), -1), sigma, scale, betas).sum() for atom in transfer
    ]
    return int(torch.stack(totals).argmax())


def _judged(advantage: dict[str, float], patches: int, single: str, against: bool) -> Verdict:
    """The verdict, by the rival that is furthest beyond its margin, or `against` it by its direction alone."""
    rounded = {name: round(value, 3) for name, value in advantage.items()}
    worst = min(advantage, key=lambda name: advantage[name] + MARGINS[name])
    if advantage[worst] >= -MARGINS[worst]:
        if against:
            reason = f"{_NO_DIRECTION} ({patches} patches)."
            return Verdict("not supported", reason, patches, rounded, single, single)
        reason = f"No rival explains the places that were kept from the estimate better ({patches} patches)."
        return Verdict("supported", reason, patches, rounded, single)
    what = {
        "narrower": "the same kernels with 1 / 1.4 of their variance explain",
        "rotated": "the same kernels turned by 90 degrees explain",
        "stretched": "kernels longer in one direction explain",
        "pointed": "kernels longer in the direction that these places show explain",
        "bicubic": "no blur at all explains",
        "best single kernel": f"one kernel for the whole photo ({single}) explains",
    }[worst]
    reason = (
        f"At places that were kept from the estimate {what} the photo better, by {-advantage[worst]:.2f} nats a patch."
    )
    return Verdict("not supported", reason, patches, rounded, single, single)


def patch_places(height: int, width: int, within: Tensor | None = None) -> Tensor:
    """Corners (P, 2) of patches on a grid, at most `_MOST`, evenly taken; wholly within some places if given."""
    size, step = spectra.PATCH, spectra.STRIDE
    rows, columns = (torch.arange(0, max(0, side - size + 1), step) for side in (height, width))
    places = torch.cartesian_prod(rows, columns).reshape(-1, 2)
    if within is not None and len(places):
        inside = within.unfold(0, size, 1).unfold(1, size, 1).flatten(2).all(2)
        places = places[inside[places[:, 0], places[:, 1]]]
    if len(places) > _MOST:
        places = places[torch.linspace(0, len(places) - 1, _MOST).round().long()]
    return places


def patch_weights(weights: Tensor, places: Tensor, stride: int = 1) -> Tensor:
    """Kernels (P, L) of patches: the mean of a field (L, h, w), kept at every `stride`-th pixel, where they look."""
    look = torch.hann_window(spectra.PATCH, periodic=False)
    look = (look[:, None] * look[None]).square()
    h, w = weights.shape[-2:]
    offsets = torch.arange(spectra.PATCH)
    means = []
    for y, x in places.tolist():
        rows = ((y + offsets) // stride).clamp_max(h - 1)
        columns = ((x + offsets) // stride).clamp_max(w - 1)
        means.append(torch.einsum("lyx,yx->l", weights[:, rows[:, None], columns[None]], look / look.sum()))
    return torch.stack(means) if means else weights.new_zeros(0, weights.shape[0])


def field_at(field: KernelField, photo: Photo, places: Tensor) -> Tensor:
    """Kernels (P, L) of a photo's field at patches; of the whole photo, it has seen the pixels that claims have not."""
    return patch_weights(field.weights, places, _stride(field, photo))


def _stride(field: KernelField, photo: Photo) -> int:
    """Photo's pixels from one kernel that is kept to the next."""
    return math.ceil(photo.height / field.weights.shape[-2])


def try_photo(
    photo: Photo,
    models: Models,
    options: UpscaleOptions,
    progress: Progress,
    depth: DepthMap | None = None,
    seen: KernelField | None = None,
) -> Verdict:
    """Estimate a photo's kernels with blocks of it hidden, and judge them by what was hidden.

    At hidden blocks the claim is what the kernels around them continue to.

    Args:
        photo: the photo.
        models: whose SVKR is on trial.
        options: of the pipeline.
        progress: receives stages.
        depth: see `analyse`.
        seen: what SVKR sees in the whole photo, where that is known; else it is asked.
    """
    small = photo.height * photo.width <= _SMALL
    numbers = range(4) if small else range(1)
    claims, corners = [], []
    for number in numbers:
        progress("testing kernels", number, len(numbers))
        hidden = fold(photo.height, photo.width, _BLOCK, number)
        places = patch_places(photo.height, photo.width, hidden)
        if not len(places) or bool(hidden.all()):
            continue
        claims.append(_claim(photo, hidden, places, models, options, depth))
        corners.append(places)
    progress("testing kernels", len(numbers), len(numbers))
    if not corners:
        return Verdict("not tested", "The photo is too small to hide a part of it.", 0, {})
    places = torch.cat(corners)
    whole = seen or analyse(photo, models, options, None, depth).field
    shown = field_at(whole, photo, places)
    return try_claim(photo.rgb, torch.cat(claims), places, models.dictionary, seen=shown)


def supported_options(options: UpscaleOptions, verdict: Verdict) -> UpscaleOptions:
    """Options that do not hold a result to kernels which the photo contradicts: what disagrees is only reported."""
    if verdict.verdict != "not supported" or options.consistency != "project":
        return options
    return replace(options, consistency="report")


def _claim(
    photo: Photo, hidden: Tensor, places: Tensor, models: Models, options: UpscaleOptions, depth: DepthMap | None
) -> Tensor:
    """Kernels (P, L) at hidden patches, from an estimate that did not see them."""
    blind = Photo(without(photo.rgb, hidden), photo.metadata)
    field = analyse(blind, models, options, None, depth).field
    stride = _stride(field, photo)
    untold = grown(hidden, _AROUND)[::stride, ::stride]
    return patch_weights(without(field.weights, untold), places, stride)
