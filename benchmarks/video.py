"""What do independent judges see in reconstructed films, on time that was not learned from?

Components of a clip are learned from the rest of it and from the other clip: half a minute alone is
too little, and the components it lacks show as speckles that seem to move. 64 x 36 pixels and 8
pictures a TR of 1.5 s, 55 296 values. Every score stands beside its floor, the average of each TR,
and its ceiling, the original. Judges that are absent are named.

Data: the generated film and two clips. About 40 minutes on two cores. Needs `make judges`.
Expected: more components score better; motion 0.90, tracking 0.70 and scenes 0.75 of the generated
film; shots as in the original at 0.8 or more.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange

from benchmarks.data import (
    FILMS,
    GENERATED_S,
    GENERATED_SEED,
    TR_S,
    film_file,
    film_study,
)
from benchmarks.generated_tracks import generated_tracks
from benchmarks.motion import BLOCK, N_BLOCKS
from benchmarks.tables import Row, share
from subtr.datasets.simulated import scene_labels
from subtr.datasets.simulated_film import picture_scenes
from subtr.datasets.study import Study
from subtr.experiments.results import block_trs
from subtr.judges import load_judge
from subtr.judges.judge import JudgeMissing
from subtr.judges.scenes import chance
from subtr.judges.video import paired_boundaries
from subtr.metrics.bold import known_mean
from subtr.metrics.inference import block_bootstrap
from subtr.metrics.temporal import motion_sums
from subtr.models.linear import BlockPCABaseline
from subtr.models.saved import frames_of_pictures, pictures_of_frames
from subtr.stimulus.media import probe
from subtr.stimulus.pictures import Blocks, pictures_of_media
from subtr.timeline import Clock, Split, consecutive

TABLE = "video_judges"
SIZES = [features * N_BLOCKS for features in (60, 96, 144, 216)]
# How often a film's own time is learned from, for once that of others: their colours differ.
OWN_WEIGHT = 9
PROBES = {"scenes": "scene accuracy", "actions": "action accuracy"}
PROBES |= {"scenes from colours": "scenes from colours"}


def run(folder: Path, films=tuple(FILMS)) -> list[Row]:
    """Rows of every judge that is there, of each film; scenes and actions of the generated one."""
    rows = []
    for film in films:
        shown = shown_film(film)
        rows += frame_rows(film, shown) + motion_rows(film, shown)
        rows += tracking_rows(film, shown) + shot_rows(film, shown)
        if film == "generated":
            for name, metric in PROBES.items():
                rows += probe_rows(shown, name, metric)
    return rows


class Shown(NamedTuple):
    """A study, the splits whose test time is judged, and system -> its pictures there."""

    study: Study
    splits: list[Split]
    systems: dict[str, np.ndarray]


def shown_film(name: str) -> Shown:
    """A clip, all of whose time is judged part by part, or the first fifth of the generated film.

    Systems: "original", "averaging", and "block PCA n" for n of ``SIZES``. Components are learned
    from the rest of the film's time, and from all of the other clip.
    """
    study, splits = film_study(name)
    splits = splits[: 1 if FILMS[name] is None else 5]
    others = [clip for clip in FILMS if FILMS[clip] and FILMS[name] and clip != name]
    beside = [_pictures(film_file(other)) for other in others]
    parts = [by_blocks(study.pictures, split, study, beside) for split in splits]
    systems = {system: np.concatenate([of[system] for of in parts]) for system in parts[0]}
    original = np.concatenate([study.pictures[split.test] for split in splits])
    average = np.rint(original.mean(1, keepdims=True)).astype(np.uint8)
    average = average.repeat(original.shape[1], axis=1)
    return Shown(study, splits, {"original": original, "averaging": average} | systems)


def by_blocks(pictures, split, study, others=()):
    """Size -> the test TRs from so many numbers each, of one set of components."""
    frames = frames_of_pictures(pictures)
    blocks = Blocks(frames.shape[1], 3, *frames.shape[3:], *BLOCK)
    films, stretches = [frames], consecutive(split.train, study.run_of_tr) * OWN_WEIGHT
    for other in others:
        stretches.append(np.arange(len(other)) + sum(map(len, films)))
        films.append(frames_of_pictures(other))
    baseline = BlockPCABaseline(blocks, SIZES[-1]).fit(torch.cat(films), stretches)
    codes, found = baseline.encode(frames[split.test]), {}
    for n_floats in SIZES:
        kept = codes.clone()
        kept[:, n_floats:] = 0
        drawn = blocks.join(blocks.placed(kept) @ baseline.synthesis.T + baseline.mean)
        found[f"block PCA {n_floats}"] = pictures_of_frames(drawn)
    return found


def _pictures(media: Path) -> np.ndarray:
    return np.array(pictures_of_media(media, Clock.covering(probe(media).duration_s, TR_S)))


def judge_or_none(name):
    try:
        return load_judge(name)
    except JudgeMissing as error:
        print(f"{name} is not measured: {error}")
        return None


def rows_of(film, metric, statistics, n_trs) -> list[Row]:
    """Scores of all systems, with floor and ceiling."""
    values = {system: float(of(np.arange(n_trs))) for system, of in statistics.items()}
    rows = []
    for system, of in statistics.items():
        low, high = block_bootstrap(of, n_trs, block_trs(n_trs, TR_S), 200)
        floats = int(system.split()[-1]) if "PCA" in system else np.nan
        labels = {"study": film, "system": system.rstrip(" 0123456789"), "floats_per_tr": floats}
        row = {"metric": metric, "value": values[system], "low": low, "high": high}
        ends = {"floor": values["averaging"], "ceiling": values["original"], "trs": n_trs}
        rows.append(labels | row | ends)
    print(film, metric, {system: round(value, 3) for system, value in values.items()}, flush=True)
    return rows


def of_trs(values):
    return lambda trs: known_mean(np.asarray(values, float)[trs])


def flat(pictures):
    return rearrange(pictures, "t p h w c -> (t p) h w c")


def frame_rows(film, shown) -> list[Row]:
    original, rows = shown.systems["original"], []
    for name in ("frames", "lpips", "vmaf"):
        judge = judge_or_none(name)
        if judge is None:
            continue
        found = {system: judge.per_tr(original, of) for system, of in shown.systems.items()}
        for measure in found["original"]:
            each = {system: of_trs(of[measure]) for system, of in found.items()}
            rows += rows_of(film, measure, each, len(original))
    return rows


def motion_rows(film, shown) -> list[Row]:
    original = shown.systems["original"]
    sums = {system: motion_sums(original, of) for system, of in shown.systems.items()}
    each = {system: of.coherence for system, of in sums.items()}
    return rows_of(film, "motion coherence", each, len(original))


def tracking_rows(film, shown) -> list[Row]:
    judge = judge_or_none("tracking")
    if judge is None:
        return []
    n_trs, n_each, height, width = shown.systems["original"].shape[:4]
    original = flat(shown.systems["original"])
    if film == "generated":
        tracks = tracks_of_generated(shown.study, shown.splits[0], n_each, height, width)
    else:
        tracks = judge.reference_tracks(original, n_each, n_each=2)
    followed = {system: judge.follow(flat(of), tracks) for system, of in shown.systems.items()}
    each = {system: share(of.per_tr(n_trs, n_each)) for system, of in followed.items()}
    area = {system: round(of.area_under_success(), 3) for system, of in followed.items()}
    print(film, f"{len(tracks)} tracks, area under success", area)
    return rows_of(film, "tracking success", each, n_trs)


def tracks_of_generated(study, split, n_each, height, width):
    """The generated film's tracks that lie within its test time, with which it must begin."""
    if split.test[0] != 0:  # else pictures have other numbers than in the film
        raise ValueError(f"test time begins at TR {split.test[0]}, expected 0.")
    clock = study.clock.with_frames(n_each)
    tracks = generated_tracks(clock, GENERATED_S, GENERATED_SEED, width, height)
    return [of for of in tracks if of.first + len(of.boxes) <= len(split.test) * n_each]


def probe_rows(shown, name, metric) -> list[Row]:
    """Scenes or actions that a probe of the training time tells in the test time."""
    judge = judge_or_none(name)
    if judge is None:
        return []
    study, (split,), systems = shown
    column = "action" if name == "actions" else "scene"
    labels = scene_labels(study.clock, GENERATED_S, GENERATED_SEED)[column].to_numpy(str)
    learned = judge.learn(study.pictures[split.train], labels[split.train])
    right = {system: learned.right(of, labels[split.test]) for system, of in systems.items()}
    each = {system: of_trs(of) for system, of in right.items()}
    least = chance(labels[split.test], labels[split.train])
    print("generated", metric, "chance", round(least, 3))
    return rows_of("generated", metric, each, len(split.test))


def shot_rows(film, shown) -> list[Row]:
    judge = judge_or_none("shots")
    if judge is None:
        return []
    n_trs, n_each = shown.systems["original"].shape[:2]
    found = {system: judge.boundaries(flat(of)) for system, of in shown.systems.items()}
    known, rows = {"shots as in the original": found["original"]}, []
    if film == "generated":
        scenes, _ = picture_scenes(GENERATED_S, TR_S, GENERATED_SEED)
        cuts = np.rint(scenes["onset_s"].to_numpy()[1:] / TR_S * n_each).astype(int)
        known["shots, known cuts"] = cuts[cuts < n_trs * n_each]
    for metric, wanted in known.items():
        each = {}
        for system, of in found.items():
            # Each of a pair counts in its own TR, so that no choice of TRs scores beyond 1.
            pairs = of[paired_boundaries(of, wanted)], wanted[paired_boundaries(wanted, of)]
            numbers = [np.concatenate(both) // n_each for both in (pairs, (of, wanted))]
            each[system] = share(np.stack([np.bincount(at, minlength=n_trs) for at in numbers], 1))
        rows += rows_of(film, metric, each, n_trs)
    return rows
