"""The story against the authors' own regressors, and what is known of the listeners."""

import shutil
import warnings

import numpy as np
import pytest
import soundfile

from subtr.bold.cleaning import Cleaner
from subtr.bold.hrf import convolve_hrf
from subtr.datasets import load_study
from subtr.datasets.alice import read_motion, read_words, word_rate
from subtr.metrics.bold import split_half_ceiling
from subtr.params import StudyError, StudyWarning
from subtr.timeline import Clock


@pytest.fixture(scope="module")
def loaded(data_dir, tmp_path_factory):
    """The study, and the warnings that came with it."""
    with warnings.catch_warnings(record=True) as heard, pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("always")
        patch.setenv("SUBTR_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        patch.setenv("SUBTR_DATA", str(data_dir))
        study = load_study("alice", {"frames_per_tr": 16})
    return study, [str(one.message) for one in heard if one.category is StudyWarning]


@pytest.fixture(scope="module")
def words(data_dir):
    (textgrid,) = (data_dir / "alice" / "alice_stim_shared").glob("*.TextGrid")
    return read_words(textgrid)


def test_27_listeners_stay_and_s33_is_named(loaded):
    study, heard = loaded
    assert len(study.bold) == 27
    assert "s33" not in study.bold
    assert len(heard) == 1
    assert "BOLD of s33 is constant" in heard[0]
    for bold in study.bold.values():
        assert np.isnan(bold[:10]).all()
        assert np.isfinite(bold[10:]).all()
    assert any("no BOLD at TRs 0 to 9" in note for note in study.notes)
    assert any("s33 is constant" in note for note in study.notes)


def test_volumes_go_on_to_second_744_and_begin_in_silence(loaded):
    study, _ = loaded
    clock = study.clock
    assert (clock.tr_s, clock.n_trs, clock.onset_s) == (2.0, 372, 0.0)
    assert np.asarray(study.mel[:9]).std() < 1e-3
    assert np.asarray(study.mel[10:20]).std() > 0.5
    assert clock.onset_s + clock.duration_s == 744.0


def test_every_word_is_counted_once(loaded, words):
    assert len(words) == 2127
    assert words["word"].iloc[:3].tolist() == ["Alice", "was", "beginning"]
    rate = loaded[0].regressors["word rate"]
    assert rate.sum() == 2127
    assert rate[:10].sum() == 0
    assert rate[10] == (words["onset_s"] < 22).sum()


def test_word_rate_is_the_authors_at_the_right_onset(data_dir, words):
    supplied = np.loadtxt(data_dir / "alice" / "alice_data_shared" / "s18-rate.txt")

    def r(onset_s, volume_fraction):
        fine = word_rate(words, Clock(0.1, 7240, onset_s))
        bold = convolve_hrf(fine, 0.1, 2.0, volume_fraction=volume_fraction)
        return np.corrcoef(bold[:, 0], supplied)[0, 1]

    # The authors sampled at the start of volumes, ours are sampled in the middle.
    at_start = {step: r(20.0 + step, 0.0) for step in (-4, -2, -1, 0, 1, 2, 4)}
    assert max(at_start, key=at_start.get) == 0
    assert at_start[0] > 0.98
    assert r(20.0, 0.5) > 0.9


def test_word_rate_per_volume_is_enough(loaded, data_dir):
    supplied = np.loadtxt(data_dir / "alice" / "alice_data_shared" / "s18-rate.txt")
    convolved = convolve_hrf(loaded[0].regressors["word rate"], 2.0, 2.0)
    assert np.corrcoef(convolved[10:, 0], supplied)[0, 1] > 0.9


def test_what_the_authors_supply_lies_beside_the_volumes(loaded):
    study, _ = loaded
    assert set(study.convolved) == set(study.regressors) - {"word rate"}
    rate = study.regressors["word rate (supplied)"]
    predictors = study.regressors["predictors (supplied)"]
    assert np.isnan(rate[:10]).all()
    assert np.corrcoef(rate[10:, 0], predictors[10:, 0])[0, 1] > 0.97


def test_the_ceiling_of_the_group_mean_is_known(loaded):
    trs = np.arange(10, 372)
    cleaned = {
        name: Cleaner(2.0, drift_order=2).fit(bold, trs).transform(bold)
        for name, bold in loaded[0].bold.items()
    }
    ceiling = split_half_ceiling(cleaned)
    assert ceiling.mean() == pytest.approx(0.86, abs=0.01)
    # Left posterior temporal cortex follows a story best.
    assert loaded[0].parcels.index[ceiling.argmax()] == "LPTL"


def test_regions_are_their_own_tuning(loaded):
    parcels = loaded[0].parcels
    assert parcels.index.tolist() == ["LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG"]
    assert parcels["tuning"].tolist() == parcels.index.tolist()


def test_resynthesised_speech_is_said_to_be_that_and_follows_the_words(loaded):
    study, _ = loaded
    assert any("resynthesised" in note for note in study.notes)
    assert study.mel.shape == (372, 16, 128)
    level = np.asarray(study.mel).mean(axis=(1, 2))[10:]
    assert np.corrcoef(level, study.regressors["word rate"][10:, 0])[0, 1] > 0.5


def test_motion_has_a_row_for_every_volume(loaded, data_dir, monkeypatch):
    monkeypatch.setenv("SUBTR_DATA", str(data_dir))
    motion = read_motion()
    assert set(motion) == set(loaded[0].bold)
    files = sorted((data_dir / "alice" / "alice_data_shared").glob("s18-rp_*.txt"))
    np.testing.assert_array_equal(motion["s18"], np.loadtxt(files[0]))
    np.testing.assert_array_equal(loaded[0].confounds["s18"], motion["s18"])


def test_a_recording_that_ends_before_the_volumes_is_refused(data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("SUBTR_DATA", str(data_dir))
    short = tmp_path / "chapter.wav"
    soundfile.write(short, np.zeros(8000 * 600, np.float32), 8000)
    with pytest.warns(StudyWarning), pytest.raises(StudyError, match=r"600\.0 s.*atempo=0\.8333"):
        load_study("alice", media=short)


def test_a_torn_time_course_is_named(data_dir, tmp_path, monkeypatch):
    shutil.copytree(data_dir / "alice", tmp_path / "alice")
    file = tmp_path / "alice" / "alice_data_shared" / "6mm" / "s22-timecourses.txt"
    file.write_text("\n".join(file.read_text().splitlines()[:300]))
    monkeypatch.setenv("SUBTR_DATA", str(tmp_path))
    with pytest.raises(StudyError, match=r"s22-timecourses\.txt has 300 rows"):
        load_study("alice")


TIER = """
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "sp"
        intervals [2]:
            xmin = 1.5
            xmax = 2.25
            text = "so ""so"" "
        intervals [3]:
            xmin = 3.999
            xmax = 4.5
            text = "late"
        intervals [4]:
            xmin = 4.5
            xmax = 9
            text = ""
"""


def test_words_and_their_quotes_are_read_pauses_are_not(tmp_path):
    (tmp_path / "a.TextGrid").write_text(TIER)
    words = read_words(tmp_path / "a.TextGrid")
    assert words.to_numpy().tolist() == [[1.5, 2.25, 'so "so"'], [3.999, 4.5, "late"]]
    np.testing.assert_array_equal(word_rate(words, Clock(2.0, 3))[:, 0], [1, 1, 0])
    np.testing.assert_array_equal(word_rate(words, Clock(2.0, 1, 2.0))[:, 0], [1])


def test_a_file_without_words_is_named(tmp_path):
    (tmp_path / "a.TextGrid").write_text("nothing")
    with pytest.raises(StudyError, match=r"a\.TextGrid holds no words"):
        read_words(tmp_path / "a.TextGrid")
