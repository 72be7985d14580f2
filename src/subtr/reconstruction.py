"""Film to film through a few numbers a TR: trains on one part of time, reconstructs another."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from einops import rearrange
from jaxtyping import Float32, Int, UInt8
from pydantic import Field, model_validator
from torch import Tensor, nn

from subtr.aggregators import AGGREGATORS
from subtr.baselines import PCARival, sliding_windows
from subtr.decoders import DECODERS, PICTURE_DECODERS
from subtr.fitting_vectors import fitted_vectors
from subtr.items import Batch, WindowBatches, consecutive, window_batches
from subtr.losses import reconstruction_loss
from subtr.models import Part, Stream, StreamParams, TemporalAutoencoder
from subtr.params import Strict
from subtr.perturbation import PerturbationParams, perturbed
from subtr.splits import Split
from subtr.study import Study
from subtr.training import Fitting, TrainingParams, fit


class AutoencoderParams(Strict):
    """Frames -> floats -> frames: what is built and how it is trained.

    ``floats_per_tr``: one autoencoder is trained for each size. ``start``: "pca" starts the linear
    maps of aggregator and decoder at the principal components of the training windows.
    ``perturbation``: copies of the training time that are learned from too, components included.
    ``fit_steps``: steps by which each test vector is fitted to the decoder, see
    `subtr.fitting_vectors`.
    """

    stream: StreamParams = StreamParams()
    decoder: Part = Part(name="linear")
    floats_per_tr: tuple[int, ...] = Field((128,), min_length=1)
    start: Literal["random", "pca"] = "random"
    perturbation: PerturbationParams = PerturbationParams()
    fit_steps: int = Field(0, ge=0, le=1000)
    level_weight: float = Field(1.0, ge=0)
    item_trs: int = Field(1, ge=1)
    batch_size: int = Field(32, ge=1)
    batches_per_epoch: int = Field(20, ge=1)
    training: TrainingParams = TrainingParams()

    @model_validator(mode="after")
    def _known_decoder(self):
        known = PICTURE_DECODERS if self.decoder.name in PICTURE_DECODERS.parts else DECODERS
        known.check(self.decoder.name, self.decoder.options)
        if self.stream.context_frames:
            raise ValueError(
                f"stream.context_frames = {self.stream.context_frames}: expected 0, for what a TR "
                "is reconstructed from must come from that TR alone"
            )
        names = self.stream.aggregator.name, self.decoder.name
        if self.start == "pca":
            for name, registry in zip(names, (AGGREGATORS, known), strict=True):
                parts = registry.parts
                can = [one for one in parts if hasattr(parts[one], "start_from")]
                if name not in can:
                    raise ValueError(
                        f"start = 'pca' needs the {registry.kind} {' or '.join(can)}, not {name!r}"
                    )
        return self


def reconstruct_sound(
    study: Study,
    split: Split,
    params: AutoencoderParams,
    n_floats: int,
    folder: Path,
    seed: int,
    label: str,
) -> tuple[Float32[np.ndarray, "test frame mel"], pd.DataFrame]:
    """The log-mel of the split's test TRs from ``n_floats`` numbers a TR, and the history."""
    mel = torch.from_numpy(np.array(study.mel, dtype=np.float32))
    known = mel[torch.from_numpy(split.train)]
    # One scale for all bands: errors keep the weight that they have in the score.
    center, scale = known.mean(dim=(0, 1)), known.std()
    frames = (mel - center) / scale
    learned = perturbed(frames, consecutive(split.train, study.run_of_tr), params.perturbation)
    n_frames, n_mels = frames.shape[1:]
    torch.manual_seed(seed)
    stream = Stream(n_mels, n_frames, n_floats, params.stream)
    decoder = params.decoder.build(DECODERS, n_floats, n_frames, n_mels)
    model = TemporalAutoencoder(stream, decoder)
    started = []
    if params.start == "pca":
        started = _start_at_pca(model, windows_of(*learned), n_floats, seed)
    more = (learned, folder, seed, label, started)
    found, history = _reconstruct(model, frames, study, split, params, *more)
    return (found * scale + center).numpy(), history


def training_windows(
    frames: Float32[np.ndarray, "tr frame feature"], study: Study, split: Split
) -> Float32[np.ndarray, "window frame feature"]:
    """Windows one TR long at every frame of the training TRs; at fewer where that takes 400 MB.

    Components of windows at TR borders alone are far worse: 0.81 instead of 0.89 of within-TR
    structure at 128 floats, on four minutes of speech.
    """
    return windows_of(torch.from_numpy(frames), consecutive(split.train, study.run_of_tr))


def windows_of(
    frames: Float32[Tensor, "tr frame feature"], stretches: list[Int[np.ndarray, " _"]]
) -> Float32[np.ndarray, "window frame feature"]:
    """`training_windows` of given stretches."""
    most = 400_000_000 // (frames[0].numel() * frames.element_size())
    step = max(1, -(-sum(map(len, stretches)) * frames.shape[1] // most))
    return np.concatenate([sliding_windows(frames[trs].numpy(), step) for trs in stretches])


def _start_at_pca(
    model: TemporalAutoencoder, windows: np.ndarray, n_floats: int, seed: int
) -> list[nn.Parameter]:
    pca = PCARival(n_floats, seed).fit(windows)
    components = torch.from_numpy(pca.components)
    # Codes of variance 1, so that what is added to them need not know their scale.
    spread = torch.from_numpy(pca.deviations).clamp_min(1e-6)
    mean = torch.from_numpy(pca.mean)
    analysis = components / spread[:, None]
    started = model.stream.aggregator.start_from(analysis, -analysis @ mean)
    return started + model.decoder.start_from(components.T * spread, mean)


def reconstruct_pictures(
    study: Study,
    split: Split,
    params: AutoencoderParams,
    n_floats: int,
    folder: Path,
    seed: int,
    label: str,
) -> tuple[UInt8[np.ndarray, "test picture height width 3"], pd.DataFrame]:
    """The pictures of the split's test TRs from ``n_floats`` numbers a TR, and the history."""
    pictures = torch.from_numpy(np.array(study.pictures))
    frames = rearrange(pictures, "t p h w c -> t p c h w").float() / 255
    n_pictures, _, height, width = frames.shape[1:]
    torch.manual_seed(seed)
    stream = Stream((height, width), n_pictures, n_floats, params.stream)
    decoder = params.decoder.build(PICTURE_DECODERS, n_floats, n_pictures, height, width)
    model = TemporalAutoencoder(stream, decoder)
    started = []
    if params.start == "pca":
        windows = training_windows(frames.flatten(2).numpy(), study, split)
        started = _start_at_pca(model, windows, n_floats, seed)
    learned = (frames, consecutive(split.train, study.run_of_tr))
    more = (learned, folder, seed, label, started)
    found, history = _reconstruct(model, frames, study, split, params, *more)
    found = rearrange(found, "t p c h w -> t p h w c").clamp(0, 1)
    return (found * 255).round().byte().numpy(), history


def _reconstruct(model, frames, study, split, params, learned, folder, seed, label, started):
    tr_s = study.clock.tr_s

    def batches(epoch: int) -> WindowBatches:
        of_epoch = seed * 1_000_003 + epoch
        sizes = (params.item_trs, params.batch_size, params.batches_per_epoch)
        return WindowBatches(*learned, *sizes, of_epoch)

    def objective(model: TemporalAutoencoder, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        found, original = model(batch["frames"], tr_s), batch["frames"]
        if original.ndim == 6:  # pictures: every pixel and colour is a feature
            found, original = found.flatten(3), original.flatten(3)
        return reconstruction_loss(found, original, params.level_weight)

    validation = window_batches(frames, consecutive(split.validation, study.run_of_tr))
    fitting = Fitting(model, objective, batches, validation, params.training, seed, started)
    history = fit(fitting, folder, label)
    test = window_batches(frames, consecutive(split.test, study.run_of_tr))
    found = [_drawn(model, batch["frames"][0], tr_s, params.fit_steps) for batch in test]
    return torch.cat(found), history


@torch.no_grad()
def _drawn(model: TemporalAutoencoder, frames: Tensor, tr_s: float, fit_steps: int) -> Tensor:
    vectors = model.stream(frames[None], tr_s)[0]
    return model.decoder(fitted_vectors(model.decoder, vectors, frames, fit_steps)[None])[0]
