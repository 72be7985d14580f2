"""What was trained comes back from its file, and makes of a film what it made of its study."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import low_rank_study
from safetensors.torch import save_file

from subtr.datasets.study import Fold, Study
from subtr.models.autoencoder import VectorFitParams
from subtr.models.saved import AUTOENCODER_FILE, load_autoencoder
from subtr.params import SettingsError, params_hash, validate
from subtr.timeline import Clock
from subtr.training.autoencoders import train_pictures, train_sound
from subtr.training.systems import AutoencoderParams

SHORT = {"batches_per_epoch": 4, "training": {"max_epochs": 2, "learning_rate": 0.02}}
SOUND = SHORT | {
    "stream": {
        "position": {"name": "elapsed"},
        "encoder": {"name": "multiscale", "hidden_dim": 8},
        "aggregator": {"name": "conv"},
    },
    "decoder": {"name": "refined", "hidden_dim": 4, "depth": 1},
}
PICTURES = SHORT | {
    "stream": {"encoder": {"name": "frame2d", "channels": [4], "hidden_dim": 8}},
    "decoder": {"name": "conv", "channels": [8, 4]},
}


def coloured_study():
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (90, 2, 1, 1, 3))
    pictures = np.broadcast_to(levels, (90, 2, 6, 8, 3)).astype(np.uint8)
    return Study("colours", Clock(1.5, 90), pictures=pictures)


def trained(kind, folder):
    study = low_rank_study() if kind == "sound" else coloured_study()
    settings, train = (SOUND, train_sound) if kind == "sound" else (PICTURES, train_pictures)
    params = validate(AutoencoderParams, settings, "system.yaml")
    split = study.splits(3, gap_s=6.0)[0]
    found = train(Fold(study, split, params.of_size(3), folder, 7, "planted, sound"))
    return study, split, params, found


@pytest.mark.parametrize("kind", ["sound", "pictures"])
def test_the_file_of_a_training_reconstructs_as_the_training_did(tmp_path, kind):
    study, split, params, found = trained(kind, tmp_path)
    loaded = load_autoencoder(tmp_path / AUTOENCODER_FILE)
    trs = split.test[:20]
    raw = (study.mel if kind == "sound" else study.pictures)[trs]
    again = loaded.decoded(loaded.vectors(raw, study.clock.tr_s))
    expected = found.reconstruct(trs, study).numpy()
    if kind == "pictures":
        expected = np.moveaxis((expected.clip(0, 1) * 255).round(), 2, -1)
    np.testing.assert_allclose(again, expected, atol=1e-5 if kind == "sound" else 1)
    assert again.dtype == raw.dtype
    spec = loaded.spec
    assert (spec.modality, spec.stream.dim, spec.tr_s) == (kind, 3, 1.5)
    assert spec.mel == (study.mel_settings if kind == "sound" else None)
    assert spec.provenance["params_hash"] == params_hash(params.of_size(3))
    assert spec.provenance["study"] == study.name


def test_fitted_vectors_are_drawn_nearer(tmp_path):
    study, split, _, _ = trained("sound", tmp_path)
    loaded, raw = load_autoencoder(tmp_path / AUTOENCODER_FILE), study.mel[split.test]
    at_once, fitted = (
        np.square(
            loaded.decoded(loaded.vectors(raw, 1.5, VectorFitParams(steps=n_steps))) - raw
        ).sum()
        for n_steps in (0, 30)
    )
    assert fitted < 0.99 * at_once


def test_the_file_is_made_again_where_it_is_missing_and_by_a_later_training(tmp_path):
    trained("sound", tmp_path)
    file = tmp_path / AUTOENCODER_FILE
    first = file.read_bytes()
    file.unlink()
    trained("sound", tmp_path)
    assert file.read_bytes() == first
    file.write_bytes(b"old")
    (tmp_path / "done.json").unlink()
    (tmp_path / "last.ckpt").unlink()
    trained("sound", tmp_path)
    assert file.read_bytes() == first


def test_reading_draws_no_random_numbers(tmp_path):
    trained("sound", tmp_path)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    load_autoencoder(tmp_path / AUTOENCODER_FILE)
    assert torch.equal(torch.rand(4), expected)


def test_files_of_another_kind_and_weights_of_other_parts_are_named(tmp_path):
    other, text = tmp_path / "other.safetensors", tmp_path / "text.safetensors"
    save_file({"weight": torch.zeros(3)}, other)
    text.write_text("not a model")
    for file in (other, text, tmp_path / "absent"):
        with pytest.raises(SettingsError, match=rf"{file.name}: expected a trained autoenc.*train"):
            load_autoencoder(file)
    trained("sound", tmp_path)
    saved = load_autoencoder(tmp_path / AUTOENCODER_FILE)
    larger = saved.spec.stream.model_copy(update={"dim": saved.spec.stream.dim + 1})
    spec = saved.spec.model_copy(update={"stream": larger})
    with pytest.raises(SettingsError, match="not those of its parts"):
        load_autoencoder(replace(saved, spec=spec).save(tmp_path / "mixed"))
