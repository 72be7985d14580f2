"""A stimulus that BOLD holds comes back from it; one that it does not hold, does not."""

from dataclasses import replace

import numpy as np
import pytest
from leaks import assert_fitted_on_train
from planted import low_rank_study
from planted_decoding import N_FLOATS, answering_study

from subtr.datasets.study import folds_of
from subtr.experiments.decoding import (
    PREFIX,
    WHOLE,
    decode,
    decoding_rows,
    fit_decoders,
    identified,
    lesioned,
    lesions,
    with_bold_of,
)
from subtr.metrics.bold import pearson_r
from subtr.models.stimulus_decoder import BoldDecoder, StimulusCode, components_code
from subtr.params import SettingsError

STUDY, CODE = answering_study()
SPLITS = STUDY.splits(3, gap_s=24.0)
CODES = [CODE] * 3
FITTED = fit_decoders(folds_of(STUDY, SPLITS, drift_order=0), CODES)
DECODED = decode(FITTED, STUDY)


def by_metric(rows):
    return {row["metric"].removeprefix(PREFIX): row for row in rows}


def test_the_decoder_is_the_response_turned_around():
    """BOLD that is the vector 4 s before: the weight of that lag is all there is."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 2))
    bold = np.concatenate([np.zeros((2, 2)), vectors[:-2]])
    runs = np.zeros(200, np.int64)
    decoder = BoldDecoder(2.0, (2.0, 8.0)).fit(bold, vectors, np.arange(150), runs)
    found = decoder.predict(bold, np.arange(150, 190), runs)
    np.testing.assert_allclose(found, vectors[150:190], atol=0.1)
    # Volumes outside of the window are never looked at.
    changed = bold.copy()
    changed[:161] = changed[165:] = 1e3
    once, again = (decoder.predict(of, np.array([160]), runs) for of in (bold, changed))
    np.testing.assert_array_equal(once, again)


def test_nothing_of_another_run_is_used():
    rng = np.random.default_rng(1)
    vectors, bold = rng.normal(size=(200, 2)), rng.normal(size=(200, 3))
    runs = np.repeat([0, 1], 100)
    decoder = BoldDecoder(2.0).fit(bold, vectors, np.arange(80), runs)
    changed = bold.copy()
    changed[100:] = 50.0
    last = np.array([96, 97, 98, 99])
    once, again = (decoder.predict(of, last, runs) for of in (bold, changed))
    np.testing.assert_array_equal(once, again)


def test_a_window_before_the_stimulus_is_refused():
    with pytest.raises(SettingsError, match="BOLD answers later"):
        BoldDecoder(2.0, (-2.0, 4.0))


def test_held_out_sound_comes_back_between_floor_and_ceiling():
    rows = by_metric(decoding_rows(DECODED, STUDY, study="planted", system="PCA"))
    told = rows["identification (pairwise)"]
    assert told["floor"] < 0.75 < 0.9 < told["low"] <= told["value"] <= told["ceiling"] == 1.0
    assert rows["identification (pairwise) p"]["value"] < 0.05
    # The mean stimulus resembles all segments alike.
    assert rows["identification (pairwise) of the mean stimulus"]["value"] == 0.5
    top1 = rows["identification (top-1)"]
    assert top1["value"] > 5 * rows["identification (top-1) chance"]["value"]
    vector = rows["vector r"]
    assert vector["floor"] < 0.3 < 0.5 < vector["low"] < vector["value"] < vector["high"]
    assert {row["modality"] for row in rows.values()} == {"sound"}


def test_the_ceiling_is_the_code_and_the_original_is_itself():
    np.testing.assert_allclose(DECODED.ceiling, DECODED.original, atol=1e-3)
    np.testing.assert_array_equal(DECODED.original, STUDY.mel[DECODED.trs])
    assert len(DECODED.trs) == STUDY.clock.n_trs


def test_components_code_and_decode_the_stimulus_they_were_learned_from():
    study, split = low_rank_study(200), low_rank_study(200).splits(4, gap_s=6.0)[0]
    code = components_code(study, split, N_FLOATS)
    found = code.decoded(code.vectors[split.test], split.test, study)
    # Any window of this sound is a sum of four.
    np.testing.assert_allclose(found, study.mel[split.test], atol=1e-2)
    assert found.dtype == np.float32
    mean = code.mean_stimulus(2)
    np.testing.assert_allclose(mean[1, 3], study.mel[split.train].mean((0, 1)), atol=1e-5)


def test_of_pictures_too_the_mean_is_at_chance_and_the_truth_is_told():
    """Pictures that brighten with one number; their mean has no whole grey level."""
    # A gradient, as a flat picture has no pattern.
    ramp = np.linspace(0, 1, 12)[:, None]

    def draw(vectors):
        bright = np.broadcast_to(9 * vectors[:, :1, None, None, None], (len(vectors), 2, 8, 1, 1))
        return 100.3 + bright * ramp + np.zeros(3)

    film = np.rint(np.clip(draw(CODE.vectors), 0, 255)).astype(np.uint8)
    means = [film[split.train].mean((0, 1)) for split in SPLITS]
    codes = [StimulusCode("pictures", CODE.vectors, film, mean, draw) for mean in means]
    study = replace(STUDY, pictures=film)
    rows = by_metric(
        decoding_rows(
            decode(fit_decoders(folds_of(study, SPLITS, drift_order=0), codes), study), study
        )
    )
    assert rows["identification (pairwise) of the mean stimulus"]["value"] == 0.5
    assert rows["identification (pairwise)"]["low"] > 0.6


def test_bold_of_another_film_tells_nothing():
    rng = np.random.default_rng(7)
    other = {s: rng.normal(size=of.shape) for s, of in STUDY.bold.items()}
    study = replace(STUDY, bold=other)
    found = decode(fit_decoders(folds_of(study, SPLITS, drift_order=0), CODES), study)
    told = identified(found, study)
    assert told.p("pairwise") > 0.05
    assert told.value("pairwise") < 0.7


def test_decoders_carry_over_to_a_subject_who_shares_the_signal():
    own = fit_decoders(folds_of(STUDY, SPLITS, drift_order=0), CODES, subject="s0")
    theirs = decode(with_bold_of(own, STUDY, "s1"), STUDY)
    assert identified(theirs, STUDY).value("pairwise") > 0.85
    with pytest.raises(SettingsError, match="subject = 's9'"):
        fit_decoders(folds_of(STUDY, SPLITS, drift_order=0), CODES, subject="s9")


def test_test_volumes_lend_nothing_to_the_decoder():
    split = SPLITS[1]

    def prepare(values, _):
        study = replace(STUDY, bold={"s0": values})
        (fold,) = fit_decoders(folds_of(study, [split], drift_order=0), [CODE], subject="s0")
        # Decoded from BOLD that stays the same: what changes is the decoder.
        return fold.decoder.predict(FITTED[1].bold, np.arange(300), study.run_of_tr)

    known = split.known
    window = np.unique(np.concatenate([known + lag for lag in range(7)]))
    learned = replace(split, train=window[window < 300])
    assert_fitted_on_train(prepare, STUDY.bold["s0"], learned)


def test_too_short_a_gap_is_refused():
    close = STUDY.splits(3, gap_s=3.0)
    with pytest.raises(SettingsError, match="longer gap_s"):
        fit_decoders(folds_of(STUDY, close, drift_order=0), CODES)


def test_a_silenced_region_loses_what_it_alone_says_and_noise_loses_nothing():
    found, rows = lesions(FITTED, STUDY, study="planted")
    assert list(found) == [WHOLE, "without loud", "without quiet", "without noise"]
    value = {(row["metric"].rpartition(") ")[2], row["group"]): row for row in rows}
    assert value["lost without", "loud"]["low"] > 0.01
    assert abs(value["lost without", "noise"]["value"]) < 0.02
    assert value["by it alone", "loud"]["value"] > value["by it alone", "quiet"]["value"] > 0.55
    assert value["by it alone", "noise"]["value"] < 0.75
    # The first two numbers of a vector go with the region, the others stay.
    without = lesioned(FITTED, STUDY, "loud").vectors
    kept = pearson_r(without, DECODED.true_vectors)
    whole = pearson_r(DECODED.vectors, DECODED.true_vectors)
    assert whole.min() > 0.5
    assert kept[:2].max() < 0.35 < 0.5 < kept[2:].min()
    with pytest.raises(SettingsError, match="region = 'lound'"):
        lesioned(FITTED, STUDY, "lound")
