"""A film of the user's: what it lacks, and BOLD that comes with it."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import soundfile

from subtr.datasets import load_study
from subtr.datasets.held_out import cleaned_bold
from subtr.params import SettingsError, StudyError, StudyWarning
from subtr.stimulus.media import MediaError
from subtr.stimulus.pictures import write_film

RATE_HZ = 16_000
SMALL = {"frames_per_tr": 8, "pictures": {"width": 16, "height": 9, "frames_per_tr": 2}}


def pictures(n):
    return (np.full((18, 32, 3), 40 + index % 100, np.uint8) for index in range(n))


def tone(duration_s):
    return 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(duration_s * RATE_HZ)) / RATE_HZ)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """30 s, so 20 TRs of 1.5 s."""
    path = tmp_path_factory.mktemp("film") / "battle.mp4"
    return write_film(path, pictures(30 * 8), 8, tone(30).astype(np.float32), RATE_HZ)


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    path = tmp_path_factory.mktemp("silent") / "silent.mp4"
    return write_film(path, pictures(30 * 8), 8, None, RATE_HZ)


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    import soundfile

    path = tmp_path_factory.mktemp("song") / "song.wav"
    soundfile.write(path, tone(30), RATE_HZ)
    return path


@pytest.fixture
def bold(tmp_path):
    """20 TRs of two subjects and three parcels, the same numbers in each file format."""
    values = np.random.default_rng(0).normal(size=(20, 3)).round(6)
    folder = tmp_path / "bold"
    folder.mkdir()
    np.save(folder / "sub-01.npy", values.astype(np.float32))
    pd.DataFrame(values).to_csv(folder / "sub-02.csv", index=False, header=False)
    table = pd.DataFrame(values, columns=["V1", "A1", "M1"])
    table.to_csv(folder / "sub-03.tsv", index=False, sep="\t")
    return folder, values


def test_a_film_without_bold_is_a_study(film):
    study = load_study("film", SMALL, film)
    assert study.name == "film-battle"
    assert (study.clock.n_trs, study.clock.tr_s) == (20, 1.5)
    assert study.mel.shape == (20, 8, 128)
    assert study.pictures.shape == (20, 2, 9, 16, 3)
    assert (study.bold, study.subjects, study.media) == ({}, [], film)


def test_onset_and_tr_choose_the_seconds(film):
    study = load_study("film", SMALL | {"onset_s": 6, "tr_s": 2}, film)
    whole = load_study("film", SMALL | {"tr_s": 2}, film)
    assert study.clock.n_trs == 12
    np.testing.assert_array_equal(study.mel, whole.mel[3:])
    np.testing.assert_array_equal(study.pictures, whole.pictures[3:])


def test_what_a_film_lacks_is_left_out_with_a_warning(silent, song):
    with pytest.warns(StudyWarning, match=r"silent\.mp4 has no sound track"):
        study = load_study("film", SMALL, silent)
    assert study.mel is None
    assert study.pictures is not None
    with pytest.warns(StudyWarning, match=r"song\.wav has no picture track"):
        study = load_study("film", SMALL, song)
    assert study.pictures is None
    assert study.mel is not None


def test_a_track_that_was_switched_off_needs_no_warning(song, recwarn):
    study = load_study("film", SMALL | {"pictures": None}, song)
    assert study.pictures is None
    assert [one for one in recwarn if one.category is StudyWarning] == []


def test_nothing_left_is_an_error(silent, film):
    with pytest.raises(MediaError, match="no sound track, and the study uses nothing else"):
        load_study("film", SMALL | {"pictures": None}, silent)
    with pytest.raises(SettingsError, match="mel and pictures are both null"):
        load_study("film", SMALL | {"pictures": None, "mel": None}, film)


def test_no_film_says_how_to_give_one():
    with pytest.raises(SettingsError, match="make run FILM="):
        load_study("film")


def test_an_onset_after_the_film_is_an_error(film):
    with pytest.raises(SettingsError, match=r"onset_s = 29.*30\.0"):
        load_study("film", SMALL | {"onset_s": 29}, film)


def test_bold_of_every_format_is_read_alike(film, bold):
    folder, values = bold
    study = load_study("film", SMALL | {"bold": str(folder)}, film)
    assert study.subjects == ["sub-01", "sub-02", "sub-03"]
    for series in study.bold.values():
        np.testing.assert_allclose(series, values, atol=1e-6)
    assert study.parcels.index.tolist() == ["V1", "A1", "M1"]
    assert set(study.parcels["tuning"]) == {"all"}


def test_a_parcel_table_gives_the_classes(film, bold):
    folder, _ = bold
    (folder / "parcels.csv").write_text("name,tuning\nV1,visual\nA1,auditory\nM1,motor\n")
    study = load_study("film", SMALL | {"bold": folder}, film)
    assert study.parcels["tuning"].to_dict() == {"V1": "visual", "A1": "auditory", "M1": "motor"}
    (folder / "parcels.csv").write_text("name,region\nV1,visual\nA1,auditory\nM1,motor\n")
    with pytest.raises(StudyError, match="no column tuning"):
        load_study("film", SMALL | {"bold": folder}, film)
    (folder / "parcels.csv").write_text("name,tuning\nA1,visual\nV1,auditory\nM1,motor\n")
    with pytest.raises(StudyError, match="other parcels than the headers"):
        load_study("film", SMALL | {"bold": folder}, film)


@pytest.mark.parametrize(("n_trs", "word"), [(17, "shorter"), (24, "longer")])
def test_bold_of_another_length_is_an_error_with_a_remedy(film, tmp_path, n_trs, word):
    np.save(tmp_path / "sub-01.npy", np.random.default_rng(0).normal(size=(n_trs, 3)))
    with pytest.raises(StudyError, match=f"BOLD of sub-01 has {n_trs} TRs.*{word}.*Set n_trs"):
        load_study("film", SMALL | {"bold": tmp_path}, film)


def test_n_trs_cuts_film_and_bold(film, bold):
    folder, values = bold
    study = load_study("film", SMALL | {"bold": folder, "n_trs": 15}, film)
    assert len(study.mel) == len(study.pictures) == study.clock.n_trs == 15
    np.testing.assert_allclose(study.bold["sub-02"], values[:15])
    with pytest.raises(StudyError, match=r"n_trs = 21.*covers 20 TRs"):
        load_study("film", SMALL | {"n_trs": 21}, film)


def test_bold_on_its_side_is_recognised(film, tmp_path):
    np.save(tmp_path / "sub-01.npy", np.random.default_rng(0).normal(size=(7, 20)))
    with pytest.raises(StudyError, match="lies on its side"):
        load_study("film", SMALL | {"bold": tmp_path}, film)


def test_missing_and_constant_parcels_are_masked(film, bold):
    folder, values = bold
    table = pd.DataFrame(values).astype(object)
    table.iloc[4, 1] = "n/a"
    table[2] = 1.0
    table.to_csv(folder / "sub-02.csv", index=False, header=False)
    with pytest.warns(StudyWarning, match="sub-02 has") as heard:
        study = load_study("film", SMALL | {"bold": folder}, film)
    assert len(heard) == 2
    assert np.isnan(study.bold["sub-02"]).sum(axis=0).tolist() == [0, 1, 20]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("sub-01.csv", "1,2\n3,four\n5,6\n", r"sub-01\.csv cannot be read"),
        ("sub-01.csv", "", r"sub-01\.csv cannot be read"),
        ("sub-01.npy", "no array", r"sub-01\.npy cannot be read"),
        ("notes.txt", "", r"holds no \.npy"),
    ],
)
def test_files_that_are_no_bold_are_named(film, tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(StudyError, match=message):
        load_study("film", SMALL | {"bold": tmp_path}, film)


def test_a_series_without_parcels_and_a_second_file_are_named(film, bold):
    folder, values = bold
    np.save(folder / "sub-01.npy", values[:, 0])
    with pytest.raises(StudyError, match=r"shape \(20,\)"):
        load_study("film", SMALL | {"bold": folder}, film)
    np.save(folder / "sub-01.npy", values)
    np.save(folder / "sub-02.npy", values)
    with pytest.raises(StudyError, match="two files of subject sub-02"):
        load_study("film", SMALL | {"bold": folder}, film)


def test_a_missing_folder_is_named(film, tmp_path):
    with pytest.raises(StudyError, match="no such folder"):
        load_study("film", SMALL | {"bold": tmp_path / "none"}, film)


def test_real_films_load(data_dir):
    for path in sorted((data_dir / "films").iterdir()):
        study = load_study("film", SMALL, path)
        assert study.name == f"film-{path.stem}"
        assert np.asarray(study.mel).std() > 0.5
        assert np.asarray(study.pictures).std() > 5


# nilearn's film study, from files that are there already: no test asks the net for anything.


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
