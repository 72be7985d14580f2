"""Sound through codes: trains a quantised autoencoder and reconstructs unseen TRs."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from subtr.autoencoder_params import SoundParams
from subtr.datasets.study import Fold
from subtr.fitting import Fitting
from subtr.losses import reconstruction_loss
from subtr.models.batches import Batch, WindowBatches, epoch_seed, window_batches
from subtr.models.linear import PCARival, windows_of
from subtr.models.saved import frames_of_mel
from subtr.quantised import QuantisedAutoencoder, QuantisedParams
from subtr.quantiser_params import QuantiserParams
from subtr.timeline import consecutive
from subtr.training import fit

# More windows or latents than these would make the start slower, not better.
_MOST_START_WINDOWS = 4096
_MOST_START_PATCHES = 32768


def coded(params: SoundParams, n_floats: int) -> QuantisedParams:
    """What a system's ``sound`` says of an autoencoder of codes, ``n_floats`` a TR before them."""
    own = {name: getattr(params.codes, name) for name in QuantiserParams.model_fields}
    shared = {name: getattr(params, name) for name in QuantisedParams.model_fields
              if name in SoundParams.model_fields}  # fmt: skip
    return QuantisedParams(
        quantiser=QuantiserParams(**own),
        vector_dim=n_floats - params.codes.fine_floats,
        fine_dim=params.codes.fine_dim,
        coarse_weight=params.codes.coarse_weight,
        **shared,
    )


class QuantisedSound(NamedTuple):
    """Log-mel of the test TRs from all codes and from the coarse alone, the codes, the history."""

    whole: Float32[np.ndarray, "test frame mel"]
    coarse: Float32[np.ndarray, "test frame mel"]
    coarse_codes: Int64[np.ndarray, "test codebook"]
    fine_codes: Int64[np.ndarray, "test fine_frame fine_codebook"]
    history: pd.DataFrame


def reconstruct_quantised(fold: Fold) -> QuantisedSound:
    """Trains on the fold's training TRs, and tells its test TRs by codes.

    Arguments
        fold: its ``params`` are `QuantisedParams`.

    Raises
        SettingsError: parts that do not fit one another, or less training data than codes.
        TrainingError: see `subtr.training.fit`.
    """
    study, split, params, seed = fold.study, fold.split, fold.params, fold.seed
    frames, center, scale = frames_of_mel(study.mel, split.train)
    tr_s = study.clock.tr_s
    torch.manual_seed(seed)
    model = QuantisedAutoencoder(frames.shape[2], frames.shape[1], params)
    windows = windows_of(frames, consecutive(split.train, study.run_of_tr))
    started = _start(model, windows, params.start, tr_s, seed)
    stretches = consecutive(split.train, study.run_of_tr)

    def batches(epoch: int) -> WindowBatches:
        sizes = (params.item_trs, params.batch_size, params.batches_per_epoch)
        return WindowBatches(frames, stretches, *sizes, epoch_seed(seed, epoch))

    def objective(model: QuantisedAutoencoder, batch: Batch):
        found = model(batch["frames"], tr_s)
        loss, named = reconstruction_loss(found.whole, batch["frames"], params.level_weight)
        if model.quantiser.fine is not None:
            alone, _ = reconstruction_loss(found.coarse, batch["frames"], params.level_weight)
            loss = loss + params.coarse_weight * alone
        if model.training:  # weights are chosen by what is reconstructed
            loss = loss + found.codes.loss
        return loss, named | found.codes.diagnostics

    validation = window_batches(frames, consecutive(split.validation, study.run_of_tr))
    fitting = Fitting(model, objective, batches, validation, params.training, seed, started)
    history = fit(fitting, fold.folder, fold.label)
    with torch.no_grad():
        test = window_batches(frames, consecutive(split.test, study.run_of_tr))
        found = [model(batch["frames"], tr_s) for batch in test]
    whole, coarse = (
        (torch.cat([getattr(part, name)[0] for part in found]) * scale + center).numpy()
        for name in ("whole", "coarse")
    )
    codes = (
        torch.cat([getattr(part.codes, name)[0] for part in found]).numpy()
        for name in ("coarse_codes", "fine_codes")
    )
    return QuantisedSound(whole, coarse, *codes, history)


@torch.no_grad()
def _start(
    model: QuantisedAutoencoder, windows: np.ndarray, start: str, tr_s: float, seed: int
) -> list[nn.Parameter]:
    """Puts the codes by k-means, and the linear maps at principal components if wanted."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(windows))[:_MOST_START_WINDOWS]
    some = torch.from_numpy(windows[chosen])
    aggregator, (n_fine, fine_dim) = model.stream.aggregator, model.fine_shape
    started, n_flat = [], some[0].numel()
    synthesis = torch.zeros(n_flat, model.dim + n_fine * fine_dim)
    if start == "pca":
        pca = PCARival(model.dim, seed).fit(windows)
        analysis, columns, mean = _basis(pca)
        synthesis[:, : model.dim] = columns
        basis = aggregator.coarse if fine_dim else aggregator
        started += basis.start_from(analysis, -analysis @ mean)
        started += model.decoder.start_from(synthesis, mean)
    vectors, _ = _latents(model, some, tr_s)
    told = model.quantiser.start_coarse(vectors)
    if start == "pca" and fine_dim:
        left = some.flatten(1) - told @ columns.T - mean
        patches = left.reshape(-1, n_flat // n_fine)
        patches = patches[torch.from_numpy(rng.permutation(len(patches))[:_MOST_START_PATCHES])]
        fine = PCARival(fine_dim, seed).fit(patches[:, None].numpy())
        analysis, columns, _ = _basis(fine)
        whole = aggregator.maps[0]
        whole.weight.copy_(analysis)
        whole.bias.zero_()
        blocks = torch.block_diag(*[columns] * n_fine)
        synthesis[:, model.dim :] = blocks
        started += [whole.weight, whole.bias]
        model.decoder.start_from(synthesis, mean)
    _, latents = _latents(model, some, tr_s)
    model.quantiser.start_fine(told, latents)
    return started


def _latents(model, windows: Tensor, tr_s: float) -> tuple[Tensor, Tensor]:
    parts = [model.latents(piece[:, None], tr_s) for piece in windows.split(256)]
    return tuple(torch.cat([part[index] for part in parts])[:, 0] for index in (0, 1))


def _basis(pca: PCARival) -> tuple[Tensor, Tensor, Tensor]:
    """Rows that analyse, columns that synthesise, the mean.

    One scale for all components: an error of a code then costs what it costs in the frames.
    """
    components = torch.from_numpy(pca.components)
    scale = float(np.sqrt(np.mean(pca.deviations**2)))
    return components / scale, components.T * scale, torch.from_numpy(pca.mean)
