"""Sound through codes: what codes can tell of planted sound they tell, and no more."""

import numpy as np
import pytest
import torch
from planted import low_rank_study

from subtr.datasets.study import Fold, Study
from subtr.metrics.temporal import within_tr_r2
from subtr.params import SettingsError, validate
from subtr.timeline import Clock
from subtr.training.quantised import QuantisedAutoencoder, QuantisedParams, reconstruct_quantised

STUDY = low_rank_study()
SPLIT = STUDY.splits(3, gap_s=6.0)[1]
QUANTISER = {"n_coarse": 2, "coarse_size": 8, "n_fine": 2, "fine_size": 16, "fine_frames": 2}
SETTINGS = {
    "stream": {"encoder": {"name": "linear", "hidden_dim": 0}, "aggregator": {"name": "linear"}},
    "vector_dim": 4,
    "fine_dim": 3,
    "start": "pca",
    "batch_size": 64,
    "batches_per_epoch": 5,
    "training": {"max_epochs": 4, "check_every_epochs": 2},
}


def params(quantiser=None, **changes):
    changes["quantiser"] = QUANTISER | (quantiser or {})
    return validate(QuantisedParams, SETTINGS | changes, "system.yaml")


def told(folder, study=STUDY, seed=0, **changes):
    return reconstruct_quantised(Fold(study, SPLIT, params(**changes), folder, seed, "toy"))


def kept(found, study=STUDY):
    return within_tr_r2(study.mel[SPLIT.test], found)


def test_fine_codes_add_to_coarse_ones_in_unseen_time_and_averaging_keeps_nothing(tmp_path):
    found = told(tmp_path / "both")
    assert 0.3 < kept(found.coarse) < kept(found.whole) - 0.05
    assert kept(found.whole) > 0.9
    n_test = len(SPLIT.test)
    assert found.coarse_codes.shape == (n_test, 2)
    assert found.coarse_codes.max() < 8
    assert found.fine_codes.shape == (n_test, 2, 2)
    assert found.fine_codes.max() < 16
    # Two codes instead of 64 cannot tell as much.
    few = told(tmp_path / "few", quantiser={"n_coarse": 1, "coarse_size": 2, "n_fine": 0})
    assert kept(few.whole) < kept(found.coarse) - 0.1
    np.testing.assert_array_equal(few.whole, few.coarse)
    assert few.fine_codes.size == 0


def test_two_kinds_of_tr_are_told_apart_by_one_bit(tmp_path):
    """Sound that rises or falls: one bit a TR holds most of it, and its code is the truth."""
    rng = np.random.default_rng(0)
    rises = rng.random(160) < 0.5
    ramp = np.linspace(-1, 1, 8)[:, None] * np.array([2.0, -1.0, 0.5])
    mel = np.where(rises[:, None, None], ramp, -ramp).astype(np.float32)
    study = Study("rises", Clock(1.5, 160, frames_per_tr=8), mel=mel)
    one_bit = {"n_coarse": 1, "coarse_size": 2, "n_fine": 0}
    still = {"max_epochs": 1, "learning_rate": 1e-9}
    found = told(tmp_path, study, quantiser=one_bit, vector_dim=1, start="pca", training=still)
    codes, truth = found.coarse_codes[:, 0], rises[SPLIT.test]
    assert len(set(zip(codes.tolist(), truth.tolist(), strict=True))) == 2
    assert kept(found.whole, study) > 0.4


@pytest.mark.parametrize("start", ["pca", "random"])
def test_training_improves_on_the_start(tmp_path, start):
    still = {"max_epochs": 1, "learning_rate": 1e-9}
    more = {"max_epochs": 10, "check_every_epochs": 5, "learning_rate": 0.01}
    before, after = (
        kept(told(tmp_path / name, start=start, training=training).whole)
        for name, training in (("still", still), ("more", more))
    )
    assert after > before + (0.3 if start == "random" else -0.02)


def test_the_same_seed_gives_the_same_codes_and_a_finished_training_is_kept(tmp_path):
    one, again = told(tmp_path / "one"), told(tmp_path / "again")
    np.testing.assert_array_equal(one.fine_codes, again.fine_codes)
    np.testing.assert_array_equal(one.whole, again.whole)
    np.testing.assert_array_equal(told(tmp_path / "one").whole, one.whole)
    assert np.abs(told(tmp_path / "other", seed=1).whole - one.whole).max() > 1e-3


def test_nothing_of_the_test_trs_reaches_the_codes(tmp_path):
    mel = STUDY.mel.copy()
    mel[SPLIT.test[5:]] = 7.0
    other = Study("changed", STUDY.clock, mel=mel)
    honest, again = told(tmp_path / "honest"), told(tmp_path / "again", other)
    np.testing.assert_array_equal(honest.coarse_codes[:5], again.coarse_codes[:5])
    np.testing.assert_array_equal(honest.whole[:5], again.whole[:5])


def test_gradients_reach_the_encoder_of_both_levels_and_codes_alone_decode():
    torch.manual_seed(0)
    stream = {"encoder": {"name": "multiscale", "hidden_dim": 4}, "keep_input": True}
    chosen = params(stream=stream | {"aggregator": {"name": "conv"}}, start="random")
    model = QuantisedAutoencoder(6, 8, chosen)
    frames = torch.randn(2, 40, 8, 6)
    vectors, latents = model.latents(frames, 1.5)
    model.quantiser.start_fine(
        model.quantiser.start_coarse(vectors.flatten(0, 1)), latents.flatten(0, 1)
    )
    # The map of the encoder's own level starts at zero; a step later its latents matter.
    torch.nn.init.normal_(model.stream.aggregator.maps[1].weight)
    found = model(frames, 1.5)
    for part in (found.coarse, found.whole - found.coarse.detach()):
        model.zero_grad()
        part.square().mean().backward(retain_graph=True)
        encoder = list(model.stream.encoder.parameters())
        assert min(parameter.grad.abs().max() for parameter in encoder) > 0
    model.eval()
    found = model(frames, 1.5)
    decoded = model.decode(
        *model.quantiser.from_codes(found.codes.coarse_codes, found.codes.fine_codes)
    )
    torch.testing.assert_close(decoded, found.whole, atol=1e-5, rtol=0)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(SettingsError, match=r"fine_frames = 3: expected a divisor.* 8"):
        QuantisedAutoencoder(6, 8, params({"fine_frames": 3}))
    with pytest.raises(SettingsError, match="context_frames = 2: expected 0"):
        params(stream={"context_frames": 2})
    with pytest.raises(SettingsError, match="start = 'pca' needs the aggregator linear"):
        params(stream={"aggregator": {"name": "mean"}})
    with pytest.raises(SettingsError, match="no known decoder"):
        params(decoder={"name": "lnear"})
