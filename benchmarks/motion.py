"""Who keeps the motion of films, at which size, on time that was not learned from?

64 x 36 pixels and 8 pictures a TR of 1.5 s, 55 296 values. Flow is that between pictures 187 ms
apart.

Data: the generated film and two clips. About 4 hours on two cores; `films` and `systems` take part.
Expected: what stands still keeps none, components of whole windows under 0.3; of blocks 0.80 at
1920 floats and 0.90 at 3072, which learned systems may not unlearn.
"""

from pathlib import Path

from benchmarks.data import FILMS, TR_S, film_study
from benchmarks.tables import Row
from subtr.datasets.study import Fold
from subtr.experiments.experiment import picture_baselines
from subtr.experiments.results import picture_rows
from subtr.models.linear import BlockPCABaseline
from subtr.models.saved import frames_of_pictures, pictures_of_frames
from subtr.params import params_hash, validate
from subtr.stimulus.pictures import Blocks
from subtr.timeline import consecutive
from subtr.training.autoencoders import reconstruct_pictures
from subtr.training.systems import AutoencoderParams

SEEDS = (0, 1, 2)
# 4 x 8 of them cover a picture whole.
BLOCK = (9, 8)
N_BLOCKS = 32
BLOCK_FLOATS = [features * N_BLOCKS for features in (36, 60, 96, 144)]
LEARNED_FLOATS = 96 * N_BLOCKS
PICTURES = {
    "batch_size": 8,
    "batches_per_epoch": 20,
    "training": {"max_epochs": 2, "check_every_epochs": 1, "learning_rate": 1e-3},
}
LEARNED = {
    "S3D": {"name": "s3d", "channels": [8, 16], "hidden_dim": 32},
    "SlowFast": {"name": "slowfast", "blocks": [1, 1], "hidden_dims": [16, 32]},
    "TimeSformer": {"name": "timesformer", "dim": 32, "depth": 1, "hidden_dim": 32},
    "two-stream, differences": {
        "name": "two_stream",
        "channels": [8, 16],
        "motion_channels": [8, 16],
        "hidden_dim": 32,
    },
    "flow": {"name": "flow", "channels": [8, 16], "hidden_dim": 32},
    "I3D": {"name": "i3d", "channels": [8, 16], "hidden_dim": 32},
}
SYSTEMS = ("2D average", *LEARNED)


def run(folder: Path, films=tuple(FILMS), systems=SYSTEMS, seeds=SEEDS) -> list[Row]:
    """Rows of averages, of components and of learned systems, of each film."""
    rows = []
    for name in films:
        study, splits = film_study(name)
        film = study, splits[0]
        for baseline in picture_baselines(study, splits[:1], (64, 256)):
            labels = {"system": baseline.name, "floats_per_tr": baseline.floats_per_tr}
            rows += judged(film, baseline.result, **labels)
        for n_floats in BLOCK_FLOATS:
            labels = {"system": "block PCA", "floats_per_tr": n_floats}
            rows += judged(film, by_block_components(film, n_floats), **labels)
        for system in systems:
            for seed in seeds:
                found = learned(film, system, seed, folder / "trained")
                labels = {"system": system, "floats_per_tr": LEARNED_FLOATS, "seed": seed}
                rows += judged(film, found, **labels)
    return rows


def judged(film, found, **labels) -> list[Row]:
    """Scores of what was made of a film's test time."""
    study, split = film
    labels = {"study": study.name, "seed": 0} | labels
    rows = picture_rows(study.pictures[split.test], found, TR_S, **labels)
    (coherence,) = [row for row in rows if row["metric"] == "motion coherence"]
    print(labels, *(round(coherence[key], 3) for key in ("value", "low", "high")), flush=True)
    return rows


def by_block_components(film, n_floats):
    """The test time from so many components of its blocks."""
    study, split = film
    frames = frames_of_pictures(study.pictures)
    blocks = Blocks(frames.shape[1], 3, *frames.shape[3:], *BLOCK)
    baseline = BlockPCABaseline(blocks, n_floats)
    baseline.fit(frames, consecutive(split.train, study.run_of_tr))
    return pictures_of_frames(baseline.reconstruct(frames[split.test]))


def learned(film, system, seed, folder):
    study, split = film
    params = params_of(system, study.pictures.shape[2])
    place = f"motion {study.name} {system} {LEARNED_FLOATS} {seed} {params_hash(params)}"
    place = folder / place.replace(" ", "_").replace(",", "")
    said = f"{study.name}, {system}, {LEARNED_FLOATS} floats, seed {seed}"
    return reconstruct_pictures(
        Fold(study, split, params.of_size(LEARNED_FLOATS), place, seed, said)
    )[0]


def params_of(system, height):
    if system == "2D average":
        stream = {"encoder": {"name": "frame2d"}, "aggregator": {"name": "mean"}}
        options = {"stream": stream, "decoder": {"name": "conv", "held": True}}
    else:
        aggregator = {"name": "blocks", "channels": 3, "height": height, "block": list(BLOCK)}
        stream = {"encoder": LEARNED[system], "aggregator": aggregator, "keep_input": True}
        decoder = {"name": "block_pictures", "block": list(BLOCK)}
        options = {"stream": stream, "decoder": decoder, "start": "blocks"}
    return validate(AutoencoderParams, options | PICTURES, system)
