"""Sherlock as its authors gave it: shifted once, annotated within its TRs, one viewer cut short."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from subtr.bold.hrf import convolve_hrf
from subtr.datasets import load_study
from subtr.datasets.held_out import cleaned_bold
from subtr.datasets.sherlock import (
    RUN_TRS,
    SHIFT_TRS,
    TR_S,
    _means,
    annotation_frames,
    annotation_trs,
    read_segments,
    through_hrf,
)
from subtr.metrics.bold import check_lag, lag_scan
from subtr.models.ridge import ridge_prediction
from subtr.params import SettingsError, StudyError, StudyWarning
from subtr.training.encoding_models import bold_predictor
from subtr.training.systems import BoldParams

FEW = {"frames_per_tr": 3}


@pytest.fixture(scope="module")
def study(data_dir):
    with pytest.warns(StudyWarning, match="s5 stays at its last value"):
        return load_study("sherlock", FEW)


def test_two_runs_of_seventeen_viewers(study):
    assert (len(study.subjects), study.clock.n_trs, study.clock.tr_s) == (17, 1976, 1.5)
    assert np.bincount(study.run_of_tr).tolist() == [946, 1030]
    assert study.parcels["tuning"].iloc[0] == "early auditory"
    assert (study.hrf_applied, study.bold_lag_s) == (True, 0.0)


def test_only_the_lost_volumes_of_s5_are_masked_and_reach_training_so(study):
    missing = {name: np.isnan(bold) for name, bold in study.bold.items()}
    assert np.flatnonzero(missing["s5"].all(axis=1)).tolist() == list(range(1926, 1976))
    assert sum(of.sum() for of in missing.values()) == 50 * 6
    split = study.splits()[0]
    subjects, mean = cleaned_bold(study, split, 2)
    assert np.isfinite(mean).all()
    assert np.isnan(subjects["s5"]).sum() == 50 * 6
    # Of a viewer cut short the rest is used: it follows the others as well as any of them.
    others = np.mean([subjects[name] for name in study.subjects if name != "s5"], axis=0)
    of_s5 = subjects["s5"][:1926, 0]
    assert np.corrcoef(of_s5, others[:1926, 0])[0, 1] > 0.5


def test_speaking_follows_early_auditory_bold_as_published_and_better_by_its_onsets(study):
    group = study.group_mean()[:, 0]
    whole = np.corrcoef(study.regressors["speaking"][:, 0], group)[0, 1]
    assert whole == pytest.approx(0.54, abs=0.005)
    exact = np.corrcoef(study.features[..., 0].mean(1), group)[0, 1]
    assert exact > whole + 0.01


def test_the_lag_is_where_the_study_says_with_and_without_the_shift(study, recwarn):
    unshifted = load_study("sherlock", FEW | {"undo_shift": True})
    assert np.bincount(unshifted.run_of_tr).tolist() == [943, 1027]
    np.testing.assert_array_equal(unshifted.bold["s1"][:943], study.bold["s1"][:943])
    np.testing.assert_array_equal(unshifted.features[943:], study.features[949:])
    for of, expected_s in ((study, 0.0), (unshifted, 4.5)):
        feature = of.features[..., 0].mean(1)
        lags_s, r = lag_scan(feature, of.group_mean()[:, :1], TR_S)
        assert check_lag(lags_s, r, of.bold_lag_s) == pytest.approx(expected_s, abs=TR_S)
    assert not [one for one in recwarn if "misaligned" in str(one.message)]


def test_a_second_shift_is_refused_and_says_why(study):
    for response in ("canonical", "fir"):
        params = BoldParams(readout={"response": {"name": response}})
        with pytest.raises(SettingsError, match=r"(?s)shift.*twice|double"):
            bold_predictor(study, params)
    with pytest.raises(SettingsError, match="double shifting"):
        ridge_prediction(study.folds(), study.regressors["speaking"], fir_s=16.0)


def test_the_hrf_is_shifted_back_once_as_the_bold_was():
    frames = np.zeros((1976, 3, 1))
    frames[100, 0], frames[1500, 1] = 1.0, 1.0
    moved = through_hrf(frames)
    plain = convolve_hrf(frames[:946].reshape(-1, 1), TR_S / 3, TR_S)
    np.testing.assert_allclose(moved[: 946 - SHIFT_TRS], plain[SHIFT_TRS:], atol=1e-12)
    # The response peaks at 5 s, of which the shift takes 4.5: within a TR of its cause.
    assert abs(int(moved[:946, 0].argmax()) - 100) <= 1
    assert abs(int(moved[946:, 0].argmax()) + 946 - 1500) <= 1
    assert moved[946 : 1500 - SHIFT_TRS - 1].max() == 0  # nothing crosses from run to run


def test_a_film_is_laid_over_both_runs(data_dir, tmp_path_factory):
    film = tmp_path_factory.mktemp("film") / "shown.wav"
    rate_hz, length_s = 1000, sum(RUN_TRS) * TR_S
    loud = np.zeros(round(length_s * rate_hz), np.float32)
    click_s = (10.0, RUN_TRS[0] * TR_S + 30.0)
    for second in click_s:
        loud[round(second * rate_hz) : round((second + 1) * rate_hz)] = 0.5
    loud[::2] *= -1
    soundfile.write(film, loud, rate_hz)
    small = {"mel": {"rate_hz": 1000, "n_mels": 4, "window_samples": 64, "fmax_hz": 500}}
    options = FEW | small | {"pictures": None}
    heard = load_study("sherlock", options, film)
    level = heard.mel.mean((1, 2))
    loudest = np.sort(np.argsort(level)[-2:])
    assert np.abs(loudest - [int(10 / TR_S), RUN_TRS[0] + int(30 / TR_S)]).max() <= 1
    assert heard.frames is heard.mel
    media, second_s = heard.stimulus_at(RUN_TRS[0] + 2)
    assert (media, second_s) == (film, (RUN_TRS[0] + 2) * TR_S)
    with pytest.raises(StudyError, match=r"run 2 goes on to second 4545.*run_onsets_s"):
        load_study("sherlock", options | {"run_onsets_s": [0, 3000]}, film)


def _fake(folder: Path, n_trs=1976):
    (folder / "sherlock" / "roicorr").mkdir(parents=True)
    sheet = {"Start Time (s) ": [0], "Start Time (TRs, 1.5s)": [1]}
    pd.DataFrame(sheet).to_excel(folder / "sherlock" / "Sherlock_Segments_1000_NN_2017.xlsx")
    series = {"roitc": np.ones((n_trs, 17))}
    scipy.io.savemat(
        folder / "sherlock" / "roicorr" / "aud_early_sherlock_movie_roicorr.mat", series
    )


def test_other_tables_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBTR_DATA", str(tmp_path))
    _fake(tmp_path)
    with pytest.raises(StudyError, match=r"2017\.xlsx has no column 'End Time \(s\)'"):
        load_study("sherlock", FEW)


def test_series_of_another_length_are_named(data_dir, tmp_path, monkeypatch):
    _fake(tmp_path, n_trs=1970)
    table = "Sherlock_Segments_1000_NN_2017.xlsx"
    (tmp_path / "sherlock" / table).write_bytes((data_dir / "sherlock" / table).read_bytes())
    monkeypatch.setenv("SUBTR_DATA", str(tmp_path))
    with pytest.raises(StudyError, match=r"roitc has shape \(1970, 17\).*\(1976, 17\)"):
        load_study("sherlock", FEW)


# Annotations of the Sherlock film: whose second counts, and how exactly frames hold it.


@pytest.fixture(scope="module")
def segments(data_dir):
    return read_segments(data_dir / "sherlock" / "Sherlock_Segments_1000_NN_2017.xlsx")


def test_seconds_start_anew_in_run_2_and_the_tr_columns_say_so(segments):
    assert len(segments) == 998  # 481 and 482 have no volumes
    second = segments[segments["run"] == 1].iloc[0]
    assert (second["onset_s"], second["first_tr"]) == (0.0, 946)
    assert segments["scene"].dropna().iloc[-1] != ""
    assert (segments["offset_s"] >= segments["onset_s"]).all()
    at_s = (segments["first_tr"] - segments["run"] * RUN_TRS[0]) * TR_S
    assert (at_s - segments["onset_s"]).abs().max() <= TR_S / 2
    # Two in three begin within a TR, which is what whole TRs cannot say.
    within = segments["onset_s"] % TR_S > 0
    assert 0.4 < within.mean() < 0.75


def test_frames_hold_what_is_on_at_their_seconds(segments):
    names, frames = annotation_frames(segments, 3)
    speaking = names.index("speaking")
    for row in segments[segments["offset_s"] > segments["onset_s"]].iloc[::37].itertuples():
        # Frames of half a second lie within whole seconds: nothing is mixed.
        index = row.run * RUN_TRS[0] * 3 + int(row.onset_s * 2)
        tr, frame = divmod(index, 3)
        assert frames[tr, frame, speaking] == (not pd.isna(row.speaking))
        assert frames[tr, frame, names.index("segment begins")] == 1
        assert frames[tr, frame, names.index("arousal")] == pytest.approx(
            np.mean([getattr(row, f"_{place}") for place in _arousal_places(segments)]), abs=1e-5
        )
    assert frames[..., names.index("indoor")].max() == 1
    assert frames[..., names.index("scene begins")].sum() == segments["scene"].notna().sum()


def _arousal_places(segments):
    return [1 + segments.columns.get_loc(f"arousal {rater}") for rater in range(1, 5)]


@pytest.mark.parametrize("frames_per_tr", [1, 2, 7, 64])
def test_the_mean_of_a_tr_is_exact_for_any_number_of_frames(segments, frames_per_tr):
    names, frames = annotation_frames(segments, frames_per_tr)
    _, exact = annotation_frames(segments, 3)
    n_held = names.index("segment begins")
    found, wanted = (of[..., :n_held].mean(1) for of in (frames, exact))
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_whole_trs_round_what_frames_keep(segments):
    whole = annotation_trs(segments)[:, 0]
    _, frames = annotation_frames(segments, 3)
    exact = frames[..., 0].mean(1)
    assert set(np.unique(whole)) == {0.0, 1.0}
    assert 0.05 < (np.abs(whole - exact) > 0.2).mean() < 0.3


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.integers(1, 9))
def test_means_between_edges_agree_with_a_fine_grid(seed, n_segments):
    rng = np.random.default_rng(seed)
    stops_s = np.sort(rng.choice(np.arange(40), n_segments + 1, replace=False)).astype(float)
    stops_s -= stops_s[0]
    values = rng.normal(size=(n_segments, 2))
    edges_s = np.linspace(0, stops_s[-1], 8)
    fine_s = (np.arange(70_000) + 0.5) / 70_000 * stops_s[-1]
    on = np.searchsorted(stops_s, fine_s, side="right") - 1
    wanted = values[np.minimum(on, n_segments - 1)].reshape(7, 10_000, 2).mean(1)
    np.testing.assert_allclose(_means(values, stops_s, edges_s), wanted, atol=1e-3)


def test_seconds_that_contradict_their_trs_are_named(data_dir, tmp_path):
    sheet = pd.read_excel(data_dir / "sherlock" / "Sherlock_Segments_1000_NN_2017.xlsx")
    sheet.loc[9, "Start Time (TRs, 1.5s)"] += 3
    sheet.to_excel(tmp_path / "moved.xlsx", index=False)
    with pytest.raises(StudyError, match=r"moved\.xlsx: segment 10 begins at"):
        read_segments(tmp_path / "moved.xlsx")
