"""What does each further loss do to pictures of the generated film, and by whose measure?

One system, trained alike but for its loss, so that rows differ by what they name alone. It begins
as block PCA of as many floats, see `motion`, and learns to redraw what these leave of a TR.

Data: the generated film. About 40 minutes on two cores. Needs `make judges`.
Expected: each does what it is for, at hardly a cost of what the squared error keeps.
"""

from pathlib import Path

import numpy as np
from einops import rearrange

from benchmarks.data import TR_S, film_study
from benchmarks.motion import (
    BLOCK,
    LEARNED,
    N_BLOCKS,
    SEEDS,
    by_block_components,
)
from benchmarks.tables import Row, share
from benchmarks.video import tracks_of_generated
from subtr.datasets.study import Fold
from subtr.experiments.results import block_trs
from subtr.judges import load_judge
from subtr.metrics.bold import known_mean
from subtr.metrics.inference import block_bootstrap
from subtr.metrics.temporal import frame_correlations, motion_sums, within_tr_sums
from subtr.models.saved import frames_of_pictures, pictures_of_frames
from subtr.params import params_hash, validate
from subtr.training.autoencoders import reconstruct_pictures
from subtr.training.systems import PictureParams

TABLE = "picture_losses"
N_FLOATS = 60 * N_BLOCKS
PLAIN = "squared error"
# Each about as large as the squared error at the end of training.
LOSSES = {
    PLAIN: {},
    "gradient": {"gradient": 0.1},
    "flow": {"flow": 0.1},
    "flow, weight 1": {"flow": 1.0},
    "perceptual": {"perceptual": 0.01},
    "flow, weight 1, and perceptual": {"flow": 1.0, "perceptual": 0.01},
}
SYSTEM = {
    "stream": {
        "encoder": LEARNED["S3D"],
        "aggregator": {"name": "blocks", "channels": 3, "height": 36, "block": list(BLOCK)},
        "keep_input": True,
    },
    "decoder": {"name": "block_pictures", "block": list(BLOCK)},
    "start": "blocks",
    "batch_size": 8,
    "batches_per_epoch": 20,
    "training": {"max_epochs": 12, "check_every_epochs": 2, "learning_rate": 1e-3},
}


def run(folder: Path, losses=tuple(LOSSES), seeds=SEEDS) -> list[Row]:
    """Rows of each loss and what it gains over the squared error's of the same seed."""
    study, splits = film_study("generated")
    film = study, splits[0]
    measures = measures_of(film)
    labels = {"study": "generated", "floats_per_tr": N_FLOATS, "modality": "pictures"}
    table, ends = [], {}
    for name, found in known_pictures(film).items():
        its = rows_of(measures(found), len(film[1].test), **labels | {"system": name, "seed": 0})
        ends[name] = {row["metric"]: row["value"] for row in its}
        table += its
    for seed in seeds:
        score_of = {}
        for name in dict.fromkeys((PLAIN, *losses)):
            params = validate(PictureParams, SYSTEM | {"loss": LOSSES[name]}, name)
            place = folder / "trained" / f"picture_loss_{params_hash(params)}_{seed}"
            said = f"generated film, {name}, seed {seed}"
            found, history = reconstruct_pictures(
                Fold(*film, params.of_size(N_FLOATS), place, seed, said)
            )
            score_of[name] = measures(found)
            of = labels | {"system": name, "seed": seed, "params_hash": params_hash(params)}
            its = rows_of(score_of[name], len(film[1].test), **of)
            for row in its:
                row |= {"floor": ends["mean"][row["metric"]]}
                row |= {"ceiling": ends["original"][row["metric"]]}
            spent = {"metric": "training time_s", "value": history.attrs["training time_s"]}
            table += [*its, of | spent]
            if name != PLAIN:
                gained = gains(score_of[name], score_of[PLAIN])
                table += rows_of(gained, len(film[1].test), "gain in {}".format, **of)
            print(said, {row["metric"]: round(row["value"], 4) for row in its}, flush=True)
    return table


def known_pictures(film):
    study, split = film
    frames = frames_of_pictures(study.pictures)[split.test]
    return {
        "original": study.pictures[split.test],
        "mean": pictures_of_frames(frames.mean(1, keepdim=True).expand_as(frames)),
        "block PCA": by_block_components(film, N_FLOATS),
    }


def measures_of(film):
    """Pictures of the test time -> metric -> its value of given TRs.

    Of LPIPS and the end-point error, less is better.
    """
    (study, split), lpips, tracking = film, load_judge("lpips"), load_judge("tracking")
    original = study.pictures[split.test]
    n_trs, n_each, height, width = original.shape[:4]
    tracks = tracks_of_generated(study, split, n_each, height, width)

    def of(found):
        motion, correlations = motion_sums(original, found), frame_correlations(original, found)
        perceived = lpips.per_tr(original, found)["lpips"]
        followed = tracking.follow(rearrange(found, "t p h w c -> (t p) h w c"), tracks)
        return {
            "within-TR R²": within_tr_sums(original, found).score,
            "frame correlation": lambda trs: known_mean(correlations[trs]),
            "motion coherence": motion.coherence,
            "motion end-point error": motion.end_point_error,
            "LPIPS": lambda trs: known_mean(perceived[trs]),
            "tracking success": share(followed.per_tr(n_trs, n_each)),
        }

    return of


def rows_of(score_of, n_trs, metric_of="{}".format, **labels) -> list[Row]:
    """A row for each score of ``score_of``, with its interval."""
    made = []
    for metric, score in score_of.items():
        low, high = block_bootstrap(score, n_trs, block_trs(n_trs, TR_S), 500)
        row = {"metric": metric_of(metric), "value": score(np.arange(n_trs))}
        made.append(labels | row | {"low": low, "high": high})
    return made


def gains(score_of, plain_of):
    """What each score gains over the squared error's in the same TRs."""
    return {
        metric: lambda trs, score=score, plain=plain_of[metric]: score(trs) - plain(trs)
        for metric, score in score_of.items()
    }
