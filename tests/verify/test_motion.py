"""Motion of films: who keeps it, at which size, on time that was not learned from.

64 x 36 pixels and 8 pictures a TR of 1.5 s. Flow is that between pictures 187 ms apart.
"""

import numpy as np
import pytest
import torch
from einops import rearrange

from subtr.autoencoder_params import AutoencoderParams
from subtr.autoencoder_training import LessonBatches, train_autoencoder
from subtr.clock import Clock
from subtr.datasets.simulated import generated_film
from subtr.decoders import PICTURE_DECODERS
from subtr.items import WindowBatches, consecutive, window_batches
from subtr.metrics import motion_coherence
from subtr.models import Stream, StreamParams, TemporalAutoencoder
from subtr.params import params_hash, validate
from subtr.reconstruction import reconstruct_pictures
from subtr.rivals import picture_rivals
from subtr.scoring import picture_rows
from subtr.stimulus.media import probe
from subtr.stimulus.video import pictures_of_media
from subtr.study import Study
from subtr.training import TrainingParams

SEEDS = (0, 1, 2)
TR_S = 1.5
GENERATED_S = 720.0
FILMS = {
    "generated": None,
    "tears of steel": "films/tears_of_steel_battle_70s_800x332.webm",
    "big buck bunny": "films/bbb_30s_854x480_5.1.mp4",
}
PICTURES = {"batch_size": 8, "batches_per_epoch": 25}
SHORT = {"max_epochs": 6, "learning_rate": 2e-3}
# Each adds to the principal components of the pictures, and its decoder draws them sharper.
LEARNED = {
    "S3D": {"name": "s3d"},
    "SlowFast": {"name": "slowfast"},
    "TimeSformer": {"name": "timesformer"},
    "two-stream, differences": {"name": "two_stream"},
    "two-stream, flow": {"name": "two_stream", "motion": "flow"},
    "I3D": {"name": "i3d"},
}
# Each gives a grid of patches, of which the vector is made up.
GRIDS = {
    "S3D, grid": {"name": "s3d", "channels": [24, 32], "norm": "none", "hidden_dim": 1},
    "SlowFast, grid": {"name": "slowfast", "blocks": [1], "norm": "none", "hidden_dims": [1, 1]},
    "TimeSformer, grid": {"name": "timesformer", "patch_pixels": 4, "hidden_dim": 1},
}
N_PATCHES = 8 * 9 * 16

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module", params=FILMS)
def film(request):
    """A film as a study, and the first of five blocks of its time to judge by."""
    name = request.param
    if name == "generated":
        media, length_s = generated_film(GENERATED_S, TR_S, 0), GENERATED_S
    else:
        media = request.getfixturevalue("data_dir") / FILMS[name]
        length_s = probe(media).duration_s
    clock = Clock.covering(length_s, TR_S)
    study = Study(name, clock, pictures=np.array(pictures_of_media(media, clock)))
    return study, study.splits(5, 2 * TR_S, 0.1)[0]


def rows_of(film, found, **labels):
    study, split = film
    labels = {"study": study.name, "seed": 0} | labels
    return picture_rows(study.pictures[split.test], found, TR_S, **labels)


def table_of(study, system, n_floats):
    return f"motion_{study.name}_{system}_{n_floats}".replace(" ", "_").replace(",", "")


def coherence(film, found):
    study, split = film
    return motion_coherence(study.pictures[split.test], found)


@pytest.mark.parametrize("n_floats", [64, 256])
def test_what_components_and_averages_keep(film, scored_of, n_floats):
    study, split = film
    rows, kept = [], {}
    for rival in picture_rivals(study, [split], (n_floats,)):
        labels = {"system": rival.name, "floats_per_tr": rival.floats_per_tr}
        rows += rows_of(film, rival.result, **labels)
        kept[rival.name] = coherence(film, rival.result)
    scored_of(table_of(study, "rivals", n_floats), rows)
    assert kept["mean"] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("n_floats", [64, 256])
@pytest.mark.parametrize("system", ["2D average", *LEARNED])
def test_what_learned_systems_keep(film, scored_of, verify_folder, system, n_floats):
    """A system is not asked to win here, but to be in the table, whatever it scores."""
    study, split = film
    stream = {"encoder": {"name": "frame2d"}, "aggregator": {"name": "mean"}}
    options = {"stream": stream, "decoder": {"name": "conv", "held": True}}
    if system in LEARNED:
        aggregator = {"name": "linear", "hidden_dim": 32}
        stream = {"encoder": LEARNED[system], "aggregator": aggregator, "keep_input": True}
        options = {"stream": stream, "decoder": {"name": "refined_pictures"}, "start": "pca"}
    options |= PICTURES | {"training": SHORT}
    params = validate(AutoencoderParams, options, system)
    rows, kept = [], []
    for seed in SEEDS:
        place = verify_folder / "trained" / f"motion {study.name} {system} {n_floats} {seed}"
        place = place.with_name(f"{place.name} {params_hash(params)}".replace(" ", "_"))
        said = f"{study.name}, {system}, {n_floats} floats, seed {seed}"
        found, history = reconstruct_pictures(study, split, params, n_floats, place, seed, said)
        labels = {"system": system, "floats_per_tr": n_floats, "seed": seed}
        rows += rows_of(film, found, **labels)
        spent_s = history.attrs["training time_s"]
        rows.append(labels | {"study": study.name, "metric": "training time_s", "value": spent_s})
        kept.append(coherence(film, found))
    scored_of(table_of(study, system, n_floats), rows)
    assert np.isfinite(kept).all()
    if system == "2D average":  # one picture a TR stands still
        assert np.abs(kept).max() < 0.02


def drawn_from_a_grid(film, encoder, features, seed, folder, epochs):
    """Test pictures by way of ``features`` numbers of every patch of 4 x 4 pixels of 8 pictures."""
    study, split = film
    frames = rearrange(torch.from_numpy(study.pictures), "t p h w c -> t p c h w").float() / 255
    n_pictures, _, height, width = frames.shape[1:]
    n_floats = features * N_PATCHES
    options = {"encoder": encoder | {"space": "grid"}, "aggregator": {"name": "linear"}}
    params = validate(StreamParams, options, "grid")
    torch.manual_seed(seed)
    stream = Stream((height, width), n_pictures, n_floats, params)
    decoder = PICTURE_DECODERS.build("grid_pictures", n_floats, n_pictures, height, width)
    # The vector starts as the grid itself, so that the decoder finds each patch at its place.
    started = stream.aggregator.start_from(torch.eye(n_floats), torch.zeros(n_floats))
    model = TemporalAutoencoder(stream, decoder)

    def batches(epoch):
        stretches = consecutive(split.train, study.run_of_tr)
        windows = WindowBatches(frames, stretches, 1, 8, 25, seed * 1_000_003 + epoch)
        return LessonBatches(windows, epoch, epochs, n_pictures / TR_S, None, None, 0.0)

    training = TrainingParams(max_epochs=epochs, learning_rate=4e-3, patience_checks=20)
    validation = window_batches(frames, consecutive(split.validation, study.run_of_tr))
    said = f"{study.name}, grid of {encoder['name']}, {n_floats} floats, seed {seed}"
    place = folder / "trained" / said.replace(" ", "_").replace(",", "")
    history = train_autoencoder(
        model, batches, validation, TR_S, training, place, seed, said, 0.25, False, started, None
    )
    with torch.no_grad():
        parts = window_batches(frames, consecutive(split.test, study.run_of_tr))
        found = torch.cat([model(part["frames"], TR_S)[0] for part in parts]).clamp(0, 1)
    return rearrange(found * 255, "t p c h w -> t p h w c").round().byte().numpy(), history


@pytest.mark.parametrize("features", [1, 2])
@pytest.mark.parametrize("system", GRIDS)
def test_what_a_grid_of_patches_keeps(film, scored_of, verify_folder, system, features):
    """A code of patches of each picture, drawn by the same weights everywhere."""
    study, _ = film
    encoder = dict(GRIDS[system])
    size = "hidden_dims" if "hidden_dims" in encoder else "hidden_dim"
    encoder[size] = [features, 1] if size == "hidden_dims" else features
    rows, kept = [], []
    for seed in SEEDS:
        found, history = drawn_from_a_grid(film, encoder, features, seed, verify_folder, 20)
        labels = {"system": system, "floats_per_tr": features * N_PATCHES, "seed": seed}
        rows += rows_of(film, found, **labels)
        spent_s = history.attrs["training time_s"]
        rows.append(labels | {"study": study.name, "metric": "training time_s", "value": spent_s})
        kept.append(coherence(film, found))
    scored_of(table_of(study, system, features * N_PATCHES), rows)
    # More than components of 256 floats. The report's 0.80 and 0.90 are not asked for: the table
    # says how far off they are.
    if study.name == "generated":
        assert min(kept) > 0.1
