"""What does each aggregator let through of modulation by rate, before training and after?

Data: a reader's speech, in few bands. About 40 minutes on two cores.
Expected at 2 Hz: what knows order passes less than 0.1 before training and more than 0.5 after;
from PCA it passes from the start. The report's averaging cannot pass whole cycles a TR: training
brings back less than half, which convolutions do that know the ends of a window.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.data import N_VALIDATION, TR_S, folder_of, load_speech
from benchmarks.tables import Row
from subtr.aggregators import AGGREGATORS
from subtr.datasets.study import Fold, Study
from subtr.metrics.temporal import modulation_transfer
from subtr.params import params_hash, validate
from subtr.stimulus.mel import MelSettings
from subtr.timeline import Clock, Split
from subtr.training.autoencoders import reconstruct_sound
from subtr.training.systems import AutoencoderParams

N_FLOATS, N_TRS, SEED = 128, 8, 0
# Few bands, for all of them are driven alike.
N_MELS = 32
RATES_HZ = 2.0 ** np.arange(-2, 4.5, 0.5)
OPTIONS = {"conv": {"hidden_dim": 32}, "pyramid": {"hidden_dim": 32}, "linear": {"hidden_dim": 16}}
OPTIONS |= {"kernels": {"n_kernels": 8}, "parcel_kernels": {"rank": 2}}


def run(folder: Path, aggregators=tuple(AGGREGATORS.parts), epochs=15) -> list[Row]:
    """A row for each aggregator, start, time of measuring and rate."""
    speech = few_bands()
    cases = [(name, "random") for name in aggregators]
    cases += [(n, "pca") for n in aggregators if hasattr(AGGREGATORS.parts[n], "start_from")]
    spent = {"max_epochs": epochs, "check_every_epochs": 3, "learning_rate": 3e-3}
    # A single step of no size leaves the weights where they start.
    none = {"max_epochs": 1, "batches": 1, "learning_rate": 1e-12, "weight_decay": 0.0}
    rows = []
    for name, start in cases:
        for when, training in (("before", none), ("after", spent)):
            params = autoencoder(name, start, **training)
            place = folder / "modulation_transfer" / f"{name}_{start}_{when}_{params_hash(params)}"
            found = transfer_of(speech, params, place)
            of = {"aggregator": name, "start": start, "when": when, "seed": SEED}
            gains = zip(found.rates_hz, found.gain, found.faithful_gain, strict=True)
            rows += [
                of | {"rate_hz": rate_hz, "gain": gain, "in_phase_gain": in_phase}
                for rate_hz, gain, in_phase in gains
            ]
    return rows


def few_bands():
    """The reader's first utterances as a study, and how they are split."""
    mel = MelSettings(n_mels=N_MELS)
    windows = load_speech(folder_of("speech/hifi_6097"), tr_s=TR_S, mel=mel)
    trs = np.arange(len(windows.train))
    study = Study("speech", Clock(TR_S, len(trs)), mel=windows.train)
    return study, Split(trs[:-N_VALIDATION], trs[-N_VALIDATION:], trs[:0])


def autoencoder(aggregator, start, **training):
    """The same encoder, input and linear decoder around each aggregator."""
    stream = {
        "encoder": {"name": "multiscale", "hidden_dim": 16},
        "aggregator": {"name": aggregator, **OPTIONS.get(aggregator, {})},
        "keep_input": True,
    }
    values = {"stream": stream, "start": start, "floats_per_tr": [N_FLOATS]}
    values |= {"batches_per_epoch": training.pop("batches", 20), "training": training}
    return validate(AutoencoderParams, values, f"{aggregator}, {start}")


def transfer_of(speech, params, folder):
    """Trains, or takes what was trained there before; then drives what came of it."""
    study, split = speech
    known = study.mel[split.train]
    clock = Clock(TR_S, N_TRS, frames_per_tr=known.shape[1])

    def system(windows, params=params):
        n_trs = study.clock.n_trs + len(windows)
        longer = replace(
            study,
            clock=replace(study.clock, n_trs=n_trs),
            mel=np.concatenate([study.mel, windows]),
            run_of_tr=np.concatenate([study.run_of_tr, np.ones(len(windows), np.int64)]),
        )
        of = Split(split.train, split.validation, np.arange(study.clock.n_trs, n_trs))
        return reconstruct_sound(
            Fold(longer, of, params.of_size(N_FLOATS), folder, SEED, folder.name)
        )[0]

    carrier = known.mean(axis=(0, 1))
    system(known[:1])
    # The weights that are kept replace any start, so the cheap one does from here on.
    kept = params.model_copy(update={"start": "random"})
    drive = (clock, RATES_HZ, carrier, float(known.std()))
    return modulation_transfer(lambda windows: system(windows, kept), *drive, n_phases=2)
