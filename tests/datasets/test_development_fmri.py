"""nilearn's film study, from files that are there already: no test asks the net for anything."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import soundfile

from subtr.datasets import load_study
from subtr.datasets.held_out import cleaned_bold
from subtr.params import StudyError

ADULT, CHILD = "sub-pixar123", "sub-pixar001"
N_TRS = 168
_AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


def signal(name):
    seed = [0, int(name[-3:])]
    return np.random.default_rng(seed).normal(size=(N_TRS, 2))


def motion(name):
    return np.random.default_rng([1, int(name[-3:])]).normal(size=(N_TRS, 6))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What nilearn would have fetched: two subjects and an atlas of two maps."""
    for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    data = tmp_path / "nilearn" / "development_fmri"
    data.mkdir(parents=True)
    columns = ["participant_id", "Age", "AgeGroup", "Child_Adult", "Gender", "Handedness"]
    people = [(CHILD, 4.7, "4yo", "child", "M", "R"), (ADULT, 27.0, "Adult", "adult", "F", "R")]
    pd.DataFrame(people, columns=columns).to_csv(data / "participants.tsv", sep="\t", index=False)
    maps = np.zeros((5, 5, 5, 2), np.float32)
    maps[1:3, 1:4, 1:4, 0], maps[3, 1:4, 1:4, 1] = 1, 1
    for name in (ADULT, CHILD):
        moved = signal(name) + 2 * motion(name)[:, :1]
        volumes = np.tensordot(maps, 100 + moved, axes=(3, 1)).astype(np.float32)
        space = "space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
        nib.save(nib.Nifti1Image(volumes, _AFFINE), data / f"{name}_task-pixar_{space}")
        names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
        table = pd.DataFrame(motion(name), columns=names)
        table["framewise_displacement"] = np.r_[np.nan, np.ones(N_TRS - 1)]
        rng = np.random.default_rng(5)
        for extra in (*(f"a_comp_cor_{k:02}" for k in range(6)), "csf", "white_matter"):
            table[extra] = rng.normal(size=N_TRS)
        file = data / f"{name}_task-pixar_desc-confounds_regressors.tsv"
        table.to_csv(file, sep="\t", index=False, na_rep="n/a")
    atlas = tmp_path / "nilearn" / "msdl_atlas" / "MSDL_rois"
    atlas.mkdir(parents=True)
    nib.save(nib.Nifti1Image(maps, _AFFINE), atlas / "msdl_rois.nii")
    table = pd.DataFrame({"x": [1, 2], "y": [1, 2], "z": [1, 2], "name": ["L Aud", "R Vis"],
                          "net name": ["Aud", "Vis"]})  # fmt: skip
    table.to_csv(atlas / "msdl_rois_labels.csv", index=False)
    return tmp_path / "nilearn"


def test_bold_of_each_map_is_that_of_its_place(folder):
    study = load_study("development_fmri", {"n_subjects": 2, "data_dir": folder})
    assert sorted(study.subjects) == [CHILD, ADULT]
    assert (study.clock.tr_s, study.clock.n_trs) == (2.0, N_TRS)
    assert study.parcels["tuning"].to_dict() == {"L Aud": "Aud", "R Vis": "Vis"}
    for name in study.subjects:
        wanted = 100 + signal(name) + 2 * motion(name)[:, :1]
        np.testing.assert_allclose(study.bold[name], wanted, rtol=1e-4)
    assert study.frames is None
    assert "onset_s" in study.notes[0]


def test_confounds_that_come_with_the_data_take_motion_out(folder):
    options = {"n_subjects": 2, "data_dir": folder}
    kept = load_study("development_fmri", options | {"confounds": False})
    cleaned = load_study("development_fmri", options)
    assert cleaned.confounds[ADULT].shape == (N_TRS, 14)
    split = cleaned.splits(n_folds=2, gap_s=4.0)[0]
    r = []
    for study in (kept, cleaned):
        found = cleaned_bold(study, split, 0)[0][ADULT][split.train]
        r.append(np.corrcoef(found[:, 0], signal(ADULT)[split.train, 0])[0, 1])
    assert r[0] < 0.7 < r[1]


def test_the_users_film_is_laid_over_the_volumes(folder, tmp_path):
    film = tmp_path / "film.wav"
    loud = np.zeros(120 * 8000, np.float32)
    loud[50 * 8000 : 52 * 8000 : 2] = 0.5
    soundfile.write(film, loud, 8000)
    mel = {"rate_hz": 8000, "n_mels": 4, "window_samples": 256, "fmax_hz": 4000}
    options = {"n_subjects": 1, "data_dir": folder, "mel": mel, "frames_per_tr": 4}
    for onset_s, tr in ((0.0, 25), (-10.0, 30)):
        study = load_study("development_fmri", options | {"onset_s": onset_s}, film)
        assert study.mel.mean((1, 2)).argmax() == tr


def test_offline_with_nothing_there_is_said(folder, tmp_path):
    with pytest.raises(StudyError, match=r"(?s)development_fmri cannot be fetched.*data_dir"):
        load_study("development_fmri", {"n_subjects": 1, "data_dir": tmp_path / "empty"})
