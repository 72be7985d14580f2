"""What a BIDS study may lack or contradict is named, with both sides and the remedy."""

import json
import re
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from bids_tree import OPTIONS, RUNS, SPACE, signal, write_tree

from subtr.datasets import load_study
from subtr.params import SettingsError, StudyError, StudyWarning


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees")
    return {images: write_tree(folder / images, images) for images in
            ("volume", "surface", "cifti")}  # fmt: skip


@pytest.fixture
def tree(trees, tmp_path):
    """A copy of the volumes to break, and its atlas."""
    root = tmp_path / "mine"
    shutil.copytree(trees["volume"][0], root)
    return root, root / trees["volume"][1].name


def load(root, atlas, media=None, **options):
    return load_study("bids", OPTIONS | {"root": root, "atlas": atlas} | options, media)


def refused(message, root, atlas, kind=StudyError, media=None, **options):
    with pytest.raises(kind, match=message):
        load(root, atlas, media, **options)


def test_root_and_task_are_asked_for(tmp_path):
    with pytest.raises(SettingsError, match="needs root and task"):
        load_study("bids")
    refused("no such folder", tmp_path / "none", None)


def test_no_derivatives(tree):
    root, atlas = tree
    shutil.rmtree(root / "derivatives")
    refused(r"fmriprep does not exist.*Run fMRIPrep, or set derivatives", root, atlas)


def test_no_such_task_space_or_subject_says_what_there_is(tree):
    root, atlas = tree
    refused(rf"no volume BOLD with task-rest.*It has: task-story space-{SPACE}", root, atlas,
            task="rest")  # fmt: skip
    refused("no volume BOLD with task-story, space-T1w", root, atlas, space="T1w")
    refused(r"sub-07 has no volume BOLD.*there are sub-01, sub-02", root, atlas,
            subjects=["01", "07"])  # fmt: skip
    refused("no surface BOLD", root, (atlas, atlas), images="surface")


def test_two_versions_of_a_run_must_be_told_apart(tree):
    root, atlas = tree
    for file in root.glob("derivatives/**/*_bold.nii.gz"):
        file.with_name(file.name.replace(SPACE, f"{SPACE}_res-2")).write_bytes(file.read_bytes())
    refused(r"are both of one run: say which by space, or by entities such as \{res: 2\}", root,
            atlas)  # fmt: skip
    assert load(root, atlas, entities={"res": "2"}).clock.n_trs > 100


def test_no_events_and_events_without_stimulus(tree):
    root, atlas = tree
    files = sorted(root.glob("sub-*/**/*_events.tsv"))
    table = pd.read_csv(files[0], sep="\t")
    table.drop(columns="stim_file").to_csv(files[0], sep="\t", index=False)
    refused(r"events\.tsv has no column stim_file", root, atlas)
    table.assign(stim_file=np.nan).to_csv(files[0], sep="\t", index=False)
    refused(r"no event has a stim_file", root, atlas)
    table.assign(onset="soon").to_csv(files[0], sep="\t", index=False)
    refused(r"seconds in onset and duration", root, atlas)
    files[0].unlink()
    refused(r"sub-01 run-1 has no events", root, atlas)


def test_subjects_who_were_shown_something_else(tree):
    root, atlas = tree
    file = next(root.glob("sub-02/**/*run-1_events.tsv"))
    text = file.read_text()
    file.write_text(text.replace("story1", "story2"))
    refused(r"sub-02 run-1 was shown \['story2\.wav'\].*but sub-01 \['story1\.wav'\]", root, atlas)
    file.write_text(text.replace("6.75", "7.25"))
    refused(r"sub-02 run-1: its stimulus began 0\.5 s later", root, atlas)
    # A whole number of TRs later is the same stimulus on later volumes.
    file.write_text(text.replace("6.75", "9.75"))
    later = load(root, atlas, mel=None, pictures=None).bold["sub-02"][:141] - 100
    np.testing.assert_allclose(later, signal("02", "1", 3)[6:147], atol=0.2)
    # Beyond the last volume there is none.
    file.write_text(text.replace("6.75", "39.75"))
    with pytest.warns(StudyWarning, match="sub-02 run-1 has 134 of the 141 volumes"):
        short = load(root, atlas, mel=None, pictures=None)
    assert np.isnan(short.bold["sub-02"][:141]).all(axis=1).sum() == 7


def test_trs_that_contradict_each_other_are_both_named(tree):
    root, atlas = tree
    refused(r"sub-01 run-1 has a TR of 1\.5 s, but tr_s of the parameters is 2 s", root, atlas,
            tr_s=2.0)  # fmt: skip
    name = f"sub-01_task-story_run-1_space-{SPACE}_desc-preproc_bold.json"
    own = root / "derivatives" / "fmriprep" / "sub-01" / "func" / name
    own.write_text(json.dumps({"RepetitionTime": 1500}))
    refused(r"the TR is 1500 s by .*json, but 1\.5 s by", root, atlas)
    own.write_text("{")
    refused("is no JSON object", root, atlas)


def test_a_surface_without_sidecar_has_no_tr(trees, tmp_path):
    root = shutil.copytree(trees["surface"][0], tmp_path / "mine")
    (root / "task-story_bold.json").unlink()
    refused(r"nothing says its TR\. Expected RepetitionTime", root, trees["surface"][1],
            images="surface")  # fmt: skip


def test_a_hemisphere_that_is_missing_is_named(trees, tmp_path):
    root = shutil.copytree(trees["surface"][0], tmp_path / "mine")
    next(root.glob("derivatives/**/sub-01*run-1*hemi-R*")).unlink()
    refused(r"hemi-L_.*has no other hemisphere", root, trees["surface"][1], images="surface")


def test_no_atlas_says_which_kind_is_wanted(trees):
    for images, wanted in (("volume", "a labels image"), ("surface", r"\.label\.gii or \.annot"),
                           ("cifti", r"\.dlabel\.nii")):  # fmt: skip
        root, _ = trees[images]
        refused(rf"atlas: none given.*{wanted}", root, None, images=images)
    root, atlas = trees["surface"]
    refused("expected left and right", root, atlas[0], SettingsError, images="surface")
    refused(r"nowhere\.nii does not exist", trees["volume"][0], root / "nowhere.nii")


def test_an_atlas_in_another_space_is_refused_by_name_and_by_place(tree):
    root, atlas = tree
    other = root / "tpl-MNIPediatricAsym_atlas-three_dseg.nii.gz"
    shutil.copy(atlas, other)
    refused(rf"lies in space MNIPediatricAsym, but .* in {SPACE}", root, other)
    image = nib.load(atlas)
    moved = image.affine.copy()
    moved[:3, 3] += 14.0
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), moved), root / "moved.nii.gz")
    refused(r"lies in the brain of .* in another space", root, root / "moved.nii.gz")
    maps = np.zeros((6, 6, 6, 3), np.float32)
    nib.save(nib.Nifti1Image(maps, image.affine), root / "maps.nii.gz")
    refused(r"shape \(6, 6, 6, 3\): expected one whole number a voxel", root, root / "maps.nii.gz")


def test_meshes_of_another_size_are_refused(trees, tmp_path):
    root, atlas = trees["surface"]
    array = nib.gifti.GiftiDataArray(np.ones(12, np.int32), intent="NIFTI_INTENT_LABEL")
    small = tmp_path / "small.label.gii"
    nib.save(nib.gifti.GiftiImage(darrays=[array], labeltable=nib.load(atlas[0]).labeltable), small)
    refused(r"has 12 vertices, .* 20: the atlas is of another mesh", root, (small, atlas[1]),
            images="surface")  # fmt: skip


def test_missing_confounds_say_what_was_expected(tree):
    root, atlas = tree
    file = next(root.glob("derivatives/**/sub-01*run-1*confounds_timeseries.tsv"))
    pd.read_csv(file, sep="\t").drop(columns="trans_x").to_csv(file, sep="\t", index=False)
    refused(r"sub-01 run-1: its confounds cannot be had.*trans_x", root, atlas)
    file.unlink()
    name = re.escape("sub-01_task-story_run-1_desc-confounds_timeseries.tsv")
    refused(rf"{name}.*set confounds: null", root, atlas)
    assert load(root, atlas, confounds=None).clock.n_trs > 100


def test_confounds_of_another_length_are_refused(tree):
    root, atlas = tree
    file = next(root.glob("derivatives/**/sub-01*run-1*confounds_timeseries.tsv"))
    pd.read_csv(file, sep="\t").iloc[:90].to_csv(file, sep="\t", index=False)
    refused(f"{RUNS['1'][0]} volumes, but 90 rows of confounds", root, atlas)


def test_a_broken_image_is_named(tree):
    root, atlas = tree
    file = next(root.glob("derivatives/**/sub-01*run-1*_bold.nii.gz"))
    file.write_bytes(file.read_bytes()[:3000])
    refused(r"run-1.*_bold\.nii\.gz cannot be read", root, atlas)
