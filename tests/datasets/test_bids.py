"""Any BIDS study: what was planted in volumes, surfaces and grayordinates is found in its place."""

import shutil

import numpy as np
import pandas as pd
import pytest
from bids_tree import MEL, OPTIONS, RUNS, TR_S, first_volume, signal, write_tree

from subtr.datasets import load_study
from subtr.datasets.held_out import cleaned_bold
from subtr.params import StudyError, StudyWarning
from subtr.stimulus.mel import MelSettings, log_mel_of_media
from subtr.timeline import Clock

IMAGES = ["volume", "surface", "cifti"]


def planted(subject, n_parcels):
    """What a study should hold of a subject: the volumes during the stories, run after run."""
    return np.concatenate([signal(subject, run, n_parcels)[first_volume(run) :][: n_kept(run)]
                           for run in RUNS])  # fmt: skip


def n_kept(run):
    n_trs, onset_s, length_s = RUNS[run]
    return min(int(np.ceil((onset_s + length_s) / TR_S - 1e-9)), n_trs) - first_volume(run)


def correlations(found, wanted):
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(found.T, wanted.T, strict=True)])


@pytest.mark.parametrize("images", IMAGES)
def test_planted_series_come_back_parcel_by_parcel(tmp_path, images):
    root, atlas = write_tree(tmp_path / "mine", images)
    study = load_study("bids", OPTIONS | {"root": root, "images": images, "atlas": atlas})
    assert (study.name, study.subjects) == ("bids-mine-story", ["sub-01", "sub-02"])
    assert study.clock.tr_s == TR_S
    assert np.bincount(study.run_of_tr).tolist() == [n_kept(run) for run in RUNS]
    n_parcels = 3 if images == "volume" else 4
    for subject in ("01", "02"):
        wanted = planted(subject, n_parcels)
        assert correlations(study.bold[f"sub-{subject}"], wanted).min() > 0.99
        # Level and scale too: no dead voxel and no medial wall is averaged in.
        np.testing.assert_allclose(study.bold[f"sub-{subject}"] - 100, wanted, atol=0.2)
    names = {"volume": ["A1", "V1", "M1"]}.get(images, ["L A1", "L V1", "R A1", "R V1"])
    assert study.parcels.index.tolist() == names
    if images == "volume":
        assert study.parcels["tuning"].tolist() == ["hearing", "seeing", "moving"]


def test_each_run_hears_its_own_file_from_when_the_events_say(tmp_path):
    root, atlas = write_tree(tmp_path / "mine")
    study = load_study("bids", OPTIONS | {"root": root, "atlas": atlas})
    settings = MelSettings(**MEL)
    # Run 1: the story begins at 6.75 s, half-way through volume 4.
    own = Clock(TR_S, n_kept("1"), 4 * TR_S - 6.75, 4)
    wanted = log_mel_of_media(root / "stimuli" / "story1.wav", own, settings)
    np.testing.assert_array_equal(study.mel[1 : n_kept("1") - 1], wanted[1:-1])
    silent = study.mel[0, :2]
    assert silent.max() < wanted[0, 2:].mean()
    second = log_mel_of_media(
        root / "stimuli" / "story2.wav", Clock(TR_S, n_kept("2"), 0.0, 4), settings
    )
    np.testing.assert_array_equal(study.mel[n_kept("1") :], second)
    media, second_s = study.stimulus_at(n_kept("1") + 2)
    assert (media.name, second_s) == ("story2.wav", 2 * TR_S)
    assert study.stimulus_at(0) == (root / "stimuli" / "story1.wav", -0.75)


def test_planted_motion_is_regressed_out_by_the_training_trs(tmp_path):
    moved, atlas = write_tree(tmp_path / "moved", moved=4.0)
    options = OPTIONS | {"atlas": atlas, "mel": None}
    wanted = planted("01", 3)
    studies = {
        "moved": load_study("bids", options | {"root": moved}),
        "left in": load_study("bids", options | {"root": moved, "confounds": None}),
    }
    split = studies["moved"].splits(n_folds=2, gap_s=3.0)[0]
    r = {
        name: correlations(cleaned_bold(of, split, 1)[0]["sub-01"][split.test], wanted[split.test])
        for name, of in studies.items()
    }
    assert r["moved"].min() > 0.9
    assert r["left in"].max() < 0.8
    # Six of motion, two of tissue, and the level of the second run.
    assert studies["moved"].confounds["sub-01"].shape[1] == 9
    assert studies["left in"].confounds["sub-01"].shape[1] == 1


def test_scrubbed_volumes_are_masked(tmp_path):
    root, atlas = write_tree(tmp_path / "mine")
    file = next(root.glob("derivatives/**/sub-01*run-2*confounds_timeseries.tsv"))
    table = pd.read_csv(file, sep="\t")
    table.loc[20, "framewise_displacement"] = 9.0
    table.to_csv(file, sep="\t", index=False, na_rep="n/a")
    scrub = {"strategy": ["motion", "scrub"], "scrub": 0, "fd_threshold": 5}
    with pytest.warns(StudyWarning, match="sub-01 has missing"):
        study = load_study("bids", OPTIONS | {"root": root, "atlas": atlas, "confounds": scrub})
    missing = np.flatnonzero(np.isnan(study.bold["sub-01"]).any(axis=1))
    assert missing.tolist() == [n_kept("1") + 20]


def test_sessions_are_told_apart(tmp_path):
    root, atlas = write_tree(tmp_path / "mine", session="a")
    study = load_study("bids", OPTIONS | {"root": root, "atlas": atlas})
    assert study.notes[0] == "Runs: session a run 1, session a run 2."
    assert correlations(study.bold["sub-02"], planted("02", 3)).min() > 0.99


def test_a_missing_run_and_a_short_one_are_named_and_masked(tmp_path):
    root, atlas = write_tree(tmp_path / "mine")
    for file in root.glob("derivatives/**/sub-02*run-1*_bold.nii.gz"):
        file.unlink()
    with pytest.warns(StudyWarning, match="sub-02 lacks run 1: masked"):
        study = load_study("bids", OPTIONS | {"root": root, "atlas": atlas})
    missing = np.isnan(study.bold["sub-02"]).all(axis=1)
    assert missing.tolist() == (study.run_of_tr == 0).tolist()
    assert np.isfinite(study.bold["sub-01"]).all()


def test_a_film_stands_in_for_the_only_stimulus(tmp_path):
    root, atlas = write_tree(tmp_path / "mine")
    film = tmp_path / "film.wav"
    shutil.copy(root / "stimuli" / "story1.wav", film)
    shutil.rmtree(root / "stimuli")
    options = OPTIONS | {"root": root, "atlas": atlas}
    with pytest.raises(StudyError, match=r"story1\.wav does not exist"):
        load_study("bids", options)
    for file in root.glob("**/*_events.tsv"):
        file.unlink()
    with pytest.raises(StudyError, match=r"has no events.*onset_s"):
        load_study("bids", options, film)
    study = load_study("bids", options | {"onset_s": 3.0}, film)
    assert study.stimulus_at(0) == (film, 0.0)
    assert np.bincount(study.run_of_tr).tolist() == [140, 140]


def test_several_stimuli_of_a_run_are_laid_in_their_places(tmp_path):
    root, atlas = write_tree(tmp_path / "mine")
    (root / "task-story_events.tsv").write_text(
        "onset\tduration\tstim_file\n15\t9\tstory1.wav\n30\tn/a\tstory2.wav\n"
    )
    for file in root.glob("sub-*/**/*_events.tsv"):
        file.unlink()
    study = load_study("bids", OPTIONS | {"root": root, "atlas": atlas})
    assert np.bincount(study.run_of_tr).tolist() == [150, 140]
    loud = study.mel[:150].mean((1, 2)) > -8
    # 9 s from volume 10 on, 6 s of silence, then the other story.
    assert loud.tolist() == [True] * 6 + [False] * 4 + [True] * 140
    assert study.stimulus_at(0)[0] is None
