"""Recordings beside the study: read whole, and mixed in by their share."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import tiny_experiment
import torch
from hypothesis import given
from hypothesis import strategies as st
from planted import low_rank_study

from subtr.datasets.study import Fold, Study
from subtr.experiments.experiment import Experiment
from subtr.metrics.temporal import within_tr_r2
from subtr.params import SettingsError, StudyError, params_hash, validate
from subtr.stimulus.media import MediaError
from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.timeline import Clock
from subtr.training.augmentation import PerturbationParams
from subtr.training.autoencoders import reconstruct_sound
from subtr.training.recordings import OtherWindows, mixed_windows, with_other_recordings
from subtr.training.systems import AutoencoderParams, PictureParams

RATE_HZ = 16_000
SETTINGS = MelSettings(n_mels=16)
CLOCK = Clock(1.5, 8, 0.0, 16)
STUDY = Study("heard", CLOCK, mel=np.zeros((8, 16, 16), np.float32), mel_settings=SETTINGS)


def recorded(file, seconds, seed=0):
    sound = 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE_HZ))
    soundfile.write(file, sound.astype(np.float32), RATE_HZ, subtype="FLOAT")
    return sound.astype(np.float32)


def test_each_recording_is_read_in_whole_trs_and_short_ones_are_left_out(tmp_path):
    long, _ = recorded(tmp_path / "a.wav", 4.0), recorded(tmp_path / "b.wav", 1.0, 1)
    recorded(tmp_path / "c.wav", 1.6, 2)
    found = with_other_recordings(STUDY, tmp_path)
    assert [len(one) for one in found.other_mel] == [2, 1]
    expected = log_mel_of_sound(long, RATE_HZ, Clock(1.5, 2, 0.0, 16), SETTINGS)
    np.testing.assert_allclose(found.other_mel[0], expected, atol=1e-3)
    assert "0.1 min of other recordings" in found.notes[-1]
    # Nothing else of the study changes.
    assert found.clock == STUDY.clock
    assert found.mel is STUDY.mel


def test_what_cannot_be_learned_from_is_named(tmp_path):
    with pytest.raises(StudyError, match="nowhere is no folder"):
        with_other_recordings(STUDY, tmp_path / "nowhere")
    with pytest.raises(StudyError, match="is empty"):
        with_other_recordings(STUDY, tmp_path)
    recorded(tmp_path / "short.wav", 0.5)
    with pytest.raises(StudyError, match=r"as long as a TR of 1\.5 s"):
        with_other_recordings(STUDY, tmp_path)
    (tmp_path / "notes.txt").write_text("no sound")
    with pytest.raises(MediaError, match=r"notes\.txt"):
        with_other_recordings(STUDY, tmp_path)
    with pytest.raises(StudyError, match="need a study with sound"):
        with_other_recordings(replace(STUDY, mel=None), tmp_path)


@given(share=st.floats(0.01, 0.99), batch_size=st.integers(2, 32))
def test_a_batch_holds_both_by_their_share(share, batch_size):
    own, other = torch.zeros(4, 3, 2), torch.ones(5, 3, 2)
    others = OtherWindows(other, [np.arange(5)], share)
    batches = mixed_windows(own, [np.arange(4)], others, 2, batch_size, 3, seed=1)
    assert len(batches) == 3
    for batch in batches:
        assert batch["frames"].shape == (batch_size, 2, 3, 2)
        kinds = batch["frames"].mean((1, 2, 3))
        assert set(kinds.tolist()) == {0.0, 1.0}
        assert abs(kinds.sum() - share * batch_size) <= 1


def test_no_window_runs_from_one_recording_into_the_next():
    frames = torch.tensor([1.0, 1, 1, 2, 2, 2]).view(6, 1, 1).expand(6, 4, 2)
    others = OtherWindows(frames, [np.arange(3), np.arange(3, 6)], 0.9)
    own = torch.zeros(4, 4, 2)
    for batch in mixed_windows(own, [np.arange(4)], others, 2, 32, 4, seed=0):
        assert (batch["frames"].std((1, 2, 3)) == 0).all()
        assert set(batch["frames"].unique().tolist()) == {0.0, 1.0, 2.0}


def test_without_others_batches_are_the_study_s_alone_and_one_item_cannot_be_shared():
    own = torch.arange(12.0).reshape(4, 3, 1)
    alone = mixed_windows(own, [np.arange(4)], None, 2, 3, 2, seed=1)
    assert [len(batch["frames"]) for batch in alone] == [3, 3]
    others = OtherWindows(own, [np.arange(4)], 0.5)
    with pytest.raises(SettingsError, match="batch_size = 1"):
        mixed_windows(own, [np.arange(4)], others, 2, 1, 2, seed=1)


def test_others_come_in_the_study_s_units_with_copies_of_their_own():
    params = AutoencoderParams(
        others_share=0.5, perturbation=PerturbationParams(speeds=(2.0,), band_shifts=(1,))
    )
    mel = tuple(np.full((n, 16, 16), n, np.float32) for n in (2, 4))
    study = replace(STUDY, other_mel=mel)
    found = OtherWindows.of(study, torch.full((16,), 1.0), torch.tensor(2.0), params)
    # Each as it is, half as long, and moved by a band; none runs into the next.
    assert sorted(map(len, found.stretches)) == [1, 2, 2, 2, 4, 4]
    for stretch in found.stretches:
        assert found.frames[torch.from_numpy(stretch)].std() == 0
    assert set(found.frames.unique().tolist()) == {0.5, 1.5}


def test_a_share_without_recordings_is_refused(tmp_path):
    study = low_rank_study()
    params = validate(AutoencoderParams, {"others_share": 0.5}, "system.yaml")
    split = study.splits(3, gap_s=6.0)[1]
    task = Fold(study, split, params.of_size(4), tmp_path, 0, "toy")
    with pytest.raises(SettingsError, match="has no other recordings"):
        reconstruct_sound(task)


def test_pictures_have_no_others():
    with pytest.raises(SettingsError, match="others_share"):
        validate(PictureParams, {"others_share": 0.5}, "system.yaml")


def test_a_share_of_none_leaves_hashes_as_they_were():
    assert params_hash(AutoencoderParams(others_share=0.0)) == params_hash(AutoencoderParams())
    assert params_hash(AutoencoderParams(others_share=0.5)) != params_hash(AutoencoderParams())


def test_a_code_that_too_little_time_shows_is_learned_from_others(tmp_path):
    """12 directions, 4 TRs of training: what is missing is in the other recordings."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((6, 8 * 5)).astype(np.float32)

    def drawn(n_trs):
        return (rng.standard_normal((n_trs, 6)).astype(np.float32) @ directions).reshape(-1, 8, 5)

    study = Study("few", Clock(1.5, 40, 0.0, 8), mel=drawn(40), other_mel=(drawn(300),))
    (split,) = study.splits(2, gap_s=0.0, validation_fraction=0.2)[:1]
    few = replace(split, train=split.train[:4])
    linear = {
        "stream": {
            "encoder": {"name": "linear", "hidden_dim": 0},
            "aggregator": {"name": "linear"},
        },
        "training": {"max_epochs": 30, "check_every_epochs": 5, "learning_rate": 0.02},
    }
    kept = {}
    for share in (0.0, 0.75):
        params = validate(AutoencoderParams, linear | {"others_share": share}, "system.yaml")
        task = Fold(study, few, params.of_size(6), tmp_path / str(share), 0, "toy")
        found, _ = reconstruct_sound(task)
        kept[share] = within_tr_r2(study.mel[few.test], found)
    assert kept[0.75] > kept[0.0] + 0.1


def test_components_are_those_of_the_study_alone(tmp_path):
    study = low_rank_study()
    loud = 5 * np.random.default_rng(0).standard_normal((50, *study.mel.shape[1:]))
    study = replace(study, other_mel=(loud.astype(np.float32),))
    split = study.splits(3, gap_s=6.0)[1]
    found = {}
    for share in (0.0, 0.5):
        still = {
            "stream": {
                "encoder": {"name": "linear", "hidden_dim": 0},
                "aggregator": {"name": "linear"},
            },
            "start": "pca",
            "others_share": share,
            # A rate of next to nothing leaves the start as it is.
            "training": {"max_epochs": 1, "learning_rate": 1e-9},
        }
        params = validate(AutoencoderParams, still, "system.yaml")
        task = Fold(study, split, params.of_size(3), tmp_path / str(share), 0, "toy")
        found[share], _ = reconstruct_sound(task)
    np.testing.assert_allclose(found[0.5], found[0.0], atol=1e-4)


def test_an_experiment_reads_them_and_their_content_counts(tmp_path):
    folder = tmp_path / "others"
    folder.mkdir()
    recorded(folder / "a.wav", 4.0)
    study = tiny_experiment.STUDY | {"other_recordings": str(folder)}
    where = tiny_experiment.write(tmp_path / "params", study_simulated=study)
    experiment = Experiment.open("simulated", where, runs=str(tmp_path / "runs"))
    assert [len(one) for one in experiment.study.other_mel] == [2]
    learning = AutoencoderParams(others_share=0.5)
    before, alone = experiment.training_hash(learning), experiment.training_hash()
    recorded(folder / "a.wav", 4.0, seed=1)
    assert experiment.training_hash(learning) != before
    # Those that do not learn from them are not trained anew.
    assert experiment.training_hash() == alone
    without = tiny_experiment.write(tmp_path / "without", study_simulated=tiny_experiment.STUDY)
    assert Experiment.open("simulated", without, runs=str(tmp_path)).training_hash() == alone
