"""What do coarse and fine codes keep of a TR of speech, beside PCA of the same bits?

Numbers told by a few bits each are the harder baseline of learned codes.

Data: one reader, as in `speech`. About 5 minutes on two cores.
Expected: averaging keeps nothing, coarse codes more than half, fine codes at least 0.05 more.
"""

from pathlib import Path

import numpy as np
import torch

from benchmarks.data import TR_S, reader_study
from benchmarks.tables import Row, preservation_gain
from subtr.datasets.study import Fold
from subtr.experiments.results import sound_rows
from subtr.metrics.temporal import within_tr_r2
from subtr.models.linear import fit_pca, mean_baseline
from subtr.params import params_hash, validate
from subtr.timeline import Split, consecutive
from subtr.training.quantised import QuantisedParams, reconstruct_quantised

SEEDS = (0, 1, 2)
# Numbers a TR and bits a number that the plain baseline may choose from, on validation TRs.
SIZES = (8, 16, 24, 32, 48, 64, 96, 128)
CLIPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
# Where validation cuts b bits a number, in standard deviations.
CLIP_OF_BITS = (0.0, 1.5, 2.0, 2.5, 3.0, 3.0, 3.0, 3.5, 3.5)
SETTINGS = {
    "coarse alone": {"n_fine": 0},
    "coarse and 1 fine": {"n_fine": 1},
    "coarse and 2 fine": {"n_fine": 2},
}


def run(folder: Path, settings=tuple(SETTINGS), seeds=SEEDS) -> list[Row]:
    """Rows of codes, and of PCA in two ways, at the bits of each setting."""
    speech = reader_study()
    known, rows = known_components(speech), []
    for name in settings:
        rows += rows_of(speech, known, name, seeds, folder / "trained")
    return rows


def rows_of(speech, known, name, seeds, folder) -> list[Row]:
    study, split = speech
    original, params = study.mel[split.test], params_of(name)
    bits_per_tr = params.quantiser.bits_per_tr
    labels, coded = {"study": "speech"}, f"codes, {bits_per_tr} bits"
    rows, baselines = [], {}
    for how, baseline_of in (("uniform", uniform), ("allotted", allotted)):
        system = f"PCA, {bits_per_tr} bits, {how}"
        baselines[system], n_floats = baseline_of(known, speech, bits_per_tr)
        of = labels | {"system": system, "seed": 0, "floats_per_tr": n_floats}
        rows += sound_rows(original, baselines[system], TR_S, **of)
    rows += sound_rows(original, mean_baseline(original), TR_S, system="mean", seed=0, **labels)
    for seed in seeds:
        place = folder / f"quantised {name}" / f"seed{seed}_{params_hash(params)}"
        found = reconstruct_quantised(
            Fold(study, split, params, place, seed, f"{name}, seed {seed}")
        )
        of = labels | {"seed": seed, "params_hash": params_hash(params)}
        rows += sound_rows(original, found.whole, TR_S, system=coded, **of)
        coarse = within_tr_r2(original, found.coarse)
        said = of | {"system": coded, "modality": "sound"}
        rows.append(said | {"metric": "within-TR R², coarse codes", "value": coarse})
        spent_s = found.history.attrs["training time_s"]
        rows.append(said | {"metric": "training time_s", "value": spent_s})
        for system, baseline in baselines.items():
            gain = preservation_gain(original, found.whole, baseline, TR_S)
            rows.append(said | {"metric": f"gain over {system}"} | gain)
    return rows


def known_components(speech):
    """PCA of the training TRs, to choose by; and of these with the validation TRs, to be judged."""
    study, split = speech
    everything = Split(np.arange(split.test[0]), split.validation, split.test)
    return [
        fit_pca(torch.from_numpy(study.mel), consecutive(part.train, study.run_of_tr), max(SIZES))
        for part in (split, everything)
    ]


def quantised_pca(pca, windows, bits, clips):
    """Windows from the first components, each told by its bits, see `told`."""
    deviations = pca.deviations[: len(bits)]
    numbers = told(pca.encode(windows)[:, : len(bits)] / deviations, bits, clips)
    flat = pca.mean + (numbers * deviations) @ pca.components[: len(bits)]
    return flat.reshape(windows.shape).astype(np.float32)


def uniform(components, speech, bits_per_tr):
    """The plain baseline: N numbers of b bits each, the best N and b on validation TRs."""
    study, split = speech
    validation = study.mel[split.validation]
    best = max(
        (within_tr_r2(validation, quantised_pca(components[0], validation, *of)), of)
        for size in SIZES
        for b in range(1, 9)
        if 0.9 * bits_per_tr < size * b <= bits_per_tr
        for clip in CLIPS
        for of in [([b] * size, [clip] * size)]
    )
    return quantised_pca(components[1], study.mel[split.test], *best[1]), len(best[1][0])


def allotted(components, speech, bits_per_tr):
    """The harder baseline: each bit goes to the component whose error is largest."""
    study, split = speech
    bits = allotted_bits(components[1].deviations, bits_per_tr)
    clips = np.take(CLIP_OF_BITS, bits)
    return quantised_pca(components[1], study.mel[split.test], bits, clips), int((bits > 0).sum())


def allotted_bits(deviations, bits_per_tr):
    """Bits a number: each goes to the number whose error is largest, and halves it."""
    error, bits = np.asarray(deviations, np.float64) ** 2, np.zeros(len(deviations), int)
    for _ in range(bits_per_tr):
        largest = np.argmax(np.where(bits < len(CLIP_OF_BITS) - 1, error, 0))
        bits[largest] += 1
        error[largest] /= 4
    assert bits.sum() == bits_per_tr
    return bits


def told(numbers, bits, clips):
    """Numbers, in standard deviations, as 2^bits equal steps within their clip tell them.

    ``bits``, ``clips``: one a number; of 0 bits comes 0.
    """
    bits, clips = np.asarray(bits), np.asarray(clips, np.float64)
    step = 2 * clips / 2.0**bits
    half = 2.0 ** (bits - 1)
    place = np.clip(np.floor(numbers / np.where(bits, step, 1)), -half, half - 1)
    return np.where(bits, (place + 0.5) * step, 0)


def params_of(name):
    quantiser = {"n_coarse": 4, "fine_frames": 8, "dead_below": 0.0005} | SETTINGS[name]
    values = {
        "stream": {"encoder": {"name": "linear", "hidden_dim": 0}},
        "decoder": {"name": "refined", "hidden_dim": 32, "depth": 2},
        "quantiser": quantiser,
        "vector_dim": 32,
        "fine_dim": 32,
        "start": "pca",
        "batch_size": 16,
        "training": {"max_epochs": 12, "check_every_epochs": 4, "learning_rate": 2e-3},
    }
    values["stream"]["aggregator"] = {"name": "linear"}
    return validate(QuantisedParams, values, name)
