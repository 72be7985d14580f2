"""Does the learned system keep more of a TR of real speech than PCA of the same size?

Data: one reader, 100 utterances to learn from and 16 to judge by. About 60 minutes on two cores.
Expected: averaging keeps nothing, tier 1 more than PCA at each size, with PCA given the same
speed and pitch augmentation too; its convolutions at least do no harm.
"""

from pathlib import Path

import numpy as np
import torch

from benchmarks.data import TR_S, reader_study
from benchmarks.tables import Row, preservation_gain
from subtr.datasets.study import Fold
from subtr.experiments.data import SystemParams
from subtr.experiments.results import sound_rows
from subtr.models.linear import fit_pca, mean_baseline
from subtr.models.stream import Part
from subtr.params import load_params, params_folder, params_hash
from subtr.timeline import consecutive
from subtr.training.augmentation import perturbed
from subtr.training.autoencoders import reconstruct_sound

SEEDS = (0, 1, 2)


def run(folder: Path, sizes=(64, 128, 256, 512), seeds=SEEDS, ablation=True) -> list[Row]:
    """Rows of tier 1, PCA and averaging at each size, and of tier 1 without its encoder."""
    speech, rows = reader_study(), []
    for n_floats in sizes:
        rows += beside_pca(speech, n_floats, seeds, folder / "trained")
    if ablation:
        rows += without_encoder(speech, seeds, folder / "trained")
    return rows


def beside_pca(speech, n_floats, seeds, folder) -> list[Row]:
    study, split = speech
    params = tier_1()
    original = study.mel[split.test]
    labels = {"study": "speech", "floats_per_tr": n_floats, "seed": 0}
    # PCA may learn from the validation TRs too, which tier 1 only chooses its weights by.
    everything = consecutive(np.arange(split.test[0]), study.run_of_tr)
    mel = torch.from_numpy(study.mel)
    plain = fit_pca(mel, everything, n_floats).reconstruct(original)
    copies = perturbed(mel, everything, params.perturbation)
    baseline = fit_pca(*copies, n_floats).reconstruct(original)
    found_of, rows = trained(speech, params, n_floats, "tier1", seeds, folder)
    rows += sound_rows(original, plain, TR_S, system="PCA", **labels)
    rows += sound_rows(original, baseline, TR_S, system="PCA, copies too", **labels)
    rows += sound_rows(original, mean_baseline(original), TR_S, system="mean", **labels)
    of = {"system": "tier1", "floats_per_tr": n_floats}
    rows += gains(original, found_of, [plain] * len(seeds), seeds, **of, metric="gain over PCA")
    of |= {"metric": "gain over PCA, copies too"}
    return rows + gains(original, found_of, [baseline] * len(seeds), seeds, **of)


def without_encoder(speech, seeds, folder) -> list[Row]:
    """The ablation: the same system without its multi-scale encoder, at 128 floats."""
    study, split = speech
    # Of what the network gives at once: fitting would make up for what an encoder misses.
    whole = tier_1().model_copy(update={"fit_steps": 0})
    plain = Part(name="linear", hidden_dim=0)
    without = whole.model_copy(
        update={"stream": whole.stream.model_copy(update={"encoder": plain})}
    )
    found_of, _ = trained(speech, whole, 128, "tier1", seeds, folder)
    plain_of, rows = trained(speech, without, 128, "tier1, no encoder", seeds, folder)
    of = {"system": "tier1", "floats_per_tr": 128, "metric": "gain over no encoder"}
    return rows + gains(study.mel[split.test], found_of, plain_of, seeds, **of)


def trained(speech, params, n_floats, system, seeds, folder):
    """Test windows and tidy rows of each seed."""
    study, split = speech
    labels = {"study": "speech", "system": system, "floats_per_tr": n_floats}
    labels |= {"params_hash": params_hash(params), "modality": "sound"}
    found_of, rows = [], []
    for seed in seeds:
        # Fitting comes after training, so both share its weights.
        weights = params_hash(params.of_weights())
        place = folder / f"{system}_{n_floats}" / f"seed{seed}_{weights}"
        said = f"speech, {system}, {n_floats} floats, seed {seed}"
        found, history = reconstruct_sound(
            Fold(study, split, params.of_size(n_floats), place, seed, said)
        )
        of = labels | {"seed": seed}
        rows += sound_rows(study.mel[split.test], found, TR_S, **of)
        spent_s = history.attrs["training time_s"]
        rows.append(of | {"metric": "training time_s", "value": spent_s})
        found_of.append(found)
    return found_of, rows


def gains(original, found_of, baseline_of, seeds, **labels) -> list[Row]:
    """A row a seed: what a system keeps more than its baseline of the same TRs, with its
    interval.
    """
    labels = {"study": "speech", "modality": "sound"} | labels
    return [
        labels | {"seed": seed} | preservation_gain(original, found, baseline, TR_S)
        for seed, found, baseline in zip(seeds, found_of, baseline_of, strict=True)
    ]


def tier_1():
    return load_params(SystemParams, params_folder("full") / "system_tier1.yaml").sound
