"""What each aggregator lets through of modulation by rate, before training and after."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from subtr.aggregators import AGGREGATORS
from subtr.autoencoder_params import AutoencoderParams
from subtr.clock import Clock
from subtr.datasets.recordings import load_speech
from subtr.figures import transfer_by_training
from subtr.metrics import modulation_transfer
from subtr.params import validate
from subtr.reconstruction import reconstruct_sound
from subtr.splits import Split
from subtr.stimulus.mel import MelSettings
from subtr.study import Fold, Study

TR_S, N_FLOATS, N_TRS, SEED = 1.5, 128, 8, 0
N_VALIDATION = 16
# Few bands, for all of them are driven alike.
N_MELS = 32
RATES_HZ = 2.0 ** np.arange(-2, 4.5, 0.5)
# The report's averaging cannot pass what comes in whole cycles a TR.
WHOLE_CYCLES_HZ = (2.0, 4.0, 8.0)
IN_ORDER = ("multiscale", "kernels", "parcel_kernels", "conv", "pyramid", "linear")
OPTIONS = {"conv": {"hidden_dim": 32}, "pyramid": {"hidden_dim": 32}, "linear": {"hidden_dim": 16}}
OPTIONS |= {"kernels": {"n_kernels": 8}, "parcel_kernels": {"rank": 2}}

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def speech(data_dir):
    windows = load_speech(
        data_dir / "speech" / "hifi_6097", tr_s=TR_S, mel=MelSettings(n_mels=N_MELS)
    )
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


@pytest.fixture(scope="module")
def transfers(speech, verify_folder, tmp_path_factory):
    """A row for each aggregator, start, time of measuring and rate; kept, and drawn."""
    folder = tmp_path_factory.mktemp("transfer")
    cases = [(name, "random") for name in AGGREGATORS.parts]
    cases += [(n, "pca") for n, part in AGGREGATORS.parts.items() if hasattr(part, "start_from")]
    spent = {"max_epochs": 15, "check_every_epochs": 3, "learning_rate": 3e-3}
    # A single step of no size leaves the weights where they start.
    none = {"max_epochs": 1, "batches": 1, "learning_rate": 1e-12, "weight_decay": 0.0}
    rows = []
    for name, start in cases:
        for when, training in (("before", none), ("after", spent)):
            place = folder / f"{name}_{start}_{when}"
            found = transfer_of(speech, autoencoder(name, start, **training), place)
            of = {"aggregator": name, "start": start, "when": when, "seed": SEED}
            gains = zip(found.rates_hz, found.gain, found.faithful_gain, strict=True)
            rows += [
                of | {"rate_hz": rate_hz, "gain": gain, "in_phase_gain": in_phase}
                for rate_hz, gain, in_phase in gains
            ]
    table = pd.DataFrame(rows)
    verify_folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(verify_folder / "modulation_transfer.csv", index=False)
    for column in ("gain", "in_phase_gain"):
        figure = transfer_by_training(table, TR_S, 64, column)
        figure.savefig(verify_folder / f"modulation_transfer_{column}.png")
    return table.set_index(["aggregator", "start", "when", "rate_hz"])["in_phase_gain"]


@pytest.mark.parametrize("name", ["mean", "nearest"])
def test_training_brings_back_less_than_half_of_what_is_thrown_away(transfers, name):
    """Some it does: convolutions know the ends of a window, so their average knows some phase."""
    after = transfers[name, "random", "after"]
    assert np.abs(after[list(WHOLE_CYCLES_HZ)]).max() < 0.5


@pytest.mark.parametrize("name", IN_ORDER)
def test_aggregators_that_know_order_learn_to_pass_speech_rhythm(transfers, name):
    before, after = (transfers[name, "random", when] for when in ("before", "after"))
    assert abs(before[2.0]) < 0.1
    assert after[2.0] > 0.5


def test_from_pca_it_passes_from_the_start_and_stays(transfers):
    before, after = (transfers["linear", "pca", when] for when in ("before", "after"))
    assert before[2.0] > 0.5
    assert after[2.0] > before[2.0] - 0.05
