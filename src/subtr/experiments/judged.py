"""Reconstructions scored by pretrained judges.

``python -m subtr.experiments.judged`` says which can be used here, and why others cannot.
"""

import hashlib
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Float64, Shaped, UInt8
from tqdm.auto import tqdm

from subtr.datasets.study import Study
from subtr.experiments.data import ExperimentData
from subtr.experiments.results import COLUMNS, Row, block_trs, read_table, write_results
from subtr.judges import judge_table, load_judge
from subtr.judges.judge import Judge, JudgeMissing, SoundJudge
from subtr.judges.speech import word_errors
from subtr.judges.video import paired_boundaries
from subtr.metrics.bold import known_mean
from subtr.metrics.inference import block_bootstrap
from subtr.params import SettingsError, git_hash, params_hash
from subtr.stimulus.media import probe, resample, sound_spans
from subtr.timeline import Trs, consecutive

ORIGINAL, ROUND_TRIP, AVERAGED = "original", "round trip", "mean"

# Of two families, for what learned from one must not be judged by it.
RECOGNISERS = ("whisper-base", "moonshine-tiny")

# Those that hear any sound; DNSMOS is none of them, for it does not ask what the original was.
SOUND_JUDGES = (
    *("stoi", "pesq", "visqol", "pitch", "beats", "tags-magnatagatune", "tags-million-songs"),
    *("events", "emotion"),
)


@dataclass(frozen=True)
class Pieces:
    """The same pieces of sound, such as utterances, as several systems give them back.

    Arguments
        sounds: name -> a sound a piece, mono. "original" is what was recorded; "round trip", the
            ceiling, is the original through the vocoder; "mean", the floor, each TR's average.
        rate_hz: samples per second of all of them.
        texts: what is said in each piece; None takes the words that are heard in the original.
        labels: name -> columns of its rows, such as floats_per_tr and seed.

    Raises
        SettingsError: no original, or systems of other pieces or lengths.
    """

    sounds: Mapping[str, Sequence[Float[np.ndarray, " _"]]]
    rate_hz: int
    texts: Sequence[str] | None = None
    labels: Mapping[str, Row] = field(default_factory=dict)

    def __post_init__(self):
        if ORIGINAL not in self.sounds:
            raise SettingsError(f"{list(self.sounds)}: expected the {ORIGINAL!r} among them.")
        lengths = {name: [len(one) for one in of] for name, of in self.sounds.items()}
        for name, of in lengths.items():
            if of != lengths[ORIGINAL]:
                raise SettingsError(
                    f"{name}: {len(of)} pieces of {of[:4]} ... samples, the original "
                    f"{len(lengths[ORIGINAL])} of {lengths[ORIGINAL][:4]} ...: cut all alike."
                )

    @property
    def systems(self) -> list[str]:
        """All names but the original's."""
        return [name for name in self.sounds if name != ORIGINAL]


def judged_sounds(
    pieces: Pieces, judges: Sequence[str] = (*RECOGNISERS, *SOUND_JUDGES), **labels: Any
) -> list[Row]:
    """A row a system and measure; a judge that is missing is left out with a warning that says why.

    "ASR accuracy", of each recogniser under a name of its own, is 1 - word error rate, pooled over
    pieces; other measures are means over the pieces in which they are defined. Intervals resample
    pieces. The floor is the value of "mean", the ceiling that of "round trip", where these are
    among the systems.

    Arguments
        judges: names from `subtr.judges.JUDGES`, of sounds.
        labels: columns of all rows.
    """
    rows = []
    for name in tqdm(judges, desc="judges", delay=3, disable=None):
        try:
            judge = load_judge(name)
        except JudgeMissing as error:
            warnings.warn(str(error), stacklevel=2)
            continue
        found = _scored(judge, pieces)
        ends = {
            end: {row["metric"]: row["value"] for row in found.get(system, [])}
            for end, system in (("floor", AVERAGED), ("ceiling", ROUND_TRIP))
        }
        for system, scores in found.items():
            of = (
                labels
                | {"modality": "sound", "system": system}
                | dict(pieces.labels.get(system, {}))
            )
            for row in scores:
                limits = {end: values.get(row["metric"]) for end, values in ends.items()}
                rows.append(of | row | limits)
    return rows


def _scored(judge: Judge, pieces: Pieces) -> dict[str, list[Row]]:
    """System -> metric, value and interval."""
    if isinstance(judge, SoundJudge):
        return {name: _mean_rows(_compared(judge, pieces, name)) for name in pieces.systems}
    said = pieces.texts
    if said is None:
        said = _heard(judge, pieces, ORIGINAL)
    found = {}
    for name in pieces.systems:
        errors = word_errors(list(said), _heard(judge, pieces, name))
        found[name] = [_sound_row(judge.measure, errors.accuracy, len(said))]
    return found


def _heard(judge, pieces: Pieces, name: str) -> list[str]:
    return [judge.transcribe(sound, pieces.rate_hz) for sound in pieces.sounds[name]]


def _compared(judge: SoundJudge, pieces: Pieces, name: str) -> dict[str, Float64[np.ndarray, "_"]]:
    pairs = zip(pieces.sounds[ORIGINAL], pieces.sounds[name], strict=True)
    found = [judge.compare(original, sound, pieces.rate_hz) for original, sound in pairs]
    return {measure: np.array([of[measure] for of in found]) for measure in found[0]}


def _mean_rows(measures: dict[str, np.ndarray]) -> list[Row]:
    rows = []
    for metric, values in measures.items():
        known = values[np.isfinite(values)]
        if len(known):
            rows.append(
                _sound_row(metric, lambda of=slice(None), known=known: known[of].mean(), len(known))
            )
    return rows


def _sound_row(metric: str, statistic, n_pieces: int) -> Row:
    row = {"metric": metric, "value": float(statistic())}
    if n_pieces < 2:
        return row
    low, high = block_bootstrap(statistic, n_pieces, 1, n_boot=500)
    return row | {"low": low, "high": high}


# Criterion -> the probe that is asked, and the column of a generated film's labels.
PROBES = {"scene": ("scenes", "scene"), "action": ("actions", "action")}

PICTURE_JUDGES = ("frames", "tracking", "shots", *PROBES)

Film = UInt8[np.ndarray, "tr picture height width 3"]

Statistic = Callable[[Shaped[np.ndarray, " tr"]], float]

Asked = Callable[[Film], dict[str, Statistic]]


@dataclass(frozen=True)
class Films:
    """The same consecutive TRs as several systems give them back.

    Arguments
        shown: name -> pictures; "original" is among them, "mean", the floor, holds each TR's.
        tr_s: repetition time in seconds.
        labels: what is known of each TR, such as its "scene"; None where nothing is.
        known: original pictures of training time and their labels, from which probes learn.
        columns: name -> columns of its rows, such as floats_per_tr and seed.
    """

    shown: Mapping[str, Film]
    tr_s: float
    labels: pd.DataFrame | None = None
    known: tuple[UInt8[np.ndarray, "_ picture height width 3"], pd.DataFrame] | None = None
    columns: Mapping[str, Row] = field(default_factory=dict)


def judged_pictures(
    films: Films, judges: Sequence[str] = PICTURE_JUDGES, **labels: Any
) -> list[Row]:
    """A row a system and measure; a judge that is missing is left out with a warning that says why.

    "ssim" and "psnr" compare pictures; "tracking" is the share of boxes that a tracker, let loose
    on the reconstruction, finds where it finds them in the original; "shots" how well boundaries
    agree; "scene" and "action" are accuracies of classifiers of original pictures. Intervals
    resample blocks of 15 s. The ceiling is what the judge says of the original.

    Arguments
        judges: of ``PICTURE_JUDGES``.
        labels: columns of all rows.
    """
    rows = []
    for judge in judges:
        try:
            asked = _ASKED[judge](films)
            found = {} if asked is None else {name: asked(of) for name, of in films.shown.items()}
        except JudgeMissing as error:
            warnings.warn(str(error), stacklevel=2)
            continue
        for name, statistics in found.items():
            if name == ORIGINAL:
                continue
            of = labels | {"modality": "pictures", "system": name}
            of |= dict(films.columns.get(name, {}))
            for metric, statistic in statistics.items():
                row = _picture_row(metric, statistic, films)
                for end, system in (("floor", AVERAGED), ("ceiling", ORIGINAL)):
                    if system in found:
                        everything = np.arange(len(films.shown[ORIGINAL]))
                        row[end] = float(found[system][metric](everything))
                rows.append(of | row)
    return rows


def _picture_row(metric: str, statistic: Statistic, films: Films) -> Row:
    n_trs = len(films.shown[ORIGINAL])
    low, high = block_bootstrap(statistic, n_trs, block_trs(n_trs, films.tr_s), 300)
    return {"metric": metric, "value": float(statistic(np.arange(n_trs))), "low": low, "high": high}


def _frames(films: Films) -> Asked:
    judge = load_judge("frames")

    def asked(film: Film) -> dict[str, Statistic]:
        measures = judge.per_tr(films.shown[ORIGINAL], film)
        return {name: _mean_of(measures[name]) for name in ("ssim", "psnr")}

    return asked


def _tracking(films: Films) -> Asked | None:
    judge, original = load_judge("tracking"), films.shown[ORIGINAL]
    n_trs, n_pictures = original.shape[:2]
    tracks = judge.reference_tracks(_joined(original), n_pictures)

    def asked(film: Film) -> dict[str, Statistic]:
        return {"tracking": _share(judge.follow(_joined(film), tracks).per_tr(n_trs, n_pictures))}

    return asked if tracks else None


def _shots(films: Films) -> Asked | None:
    judge, original = load_judge("shots"), films.shown[ORIGINAL]
    n_trs, n_pictures = original.shape[:2]
    known = judge.boundaries(_joined(original))

    def asked(film: Film) -> dict[str, Statistic]:
        found = judge.boundaries(_joined(film))
        # Both ends of a pair count, each in its own TR, so that no share of TRs can pass 1.
        pairs = found[paired_boundaries(found, known)], known[paired_boundaries(known, found)]
        kept, whole = (
            sum(np.bincount(of // n_pictures, minlength=n_trs) for of in ends)
            for ends in (pairs, (found, known))
        )
        return {"shots": _share(np.stack([kept, whole], axis=1))}

    return asked if len(known) else None


def _probe(criterion: str) -> Callable[[Films], Asked | None]:
    name, column = PROBES[criterion]

    def learn(films: Films) -> Asked | None:
        judge = load_judge(name)
        if films.labels is None or films.known is None or column not in films.labels:
            return None
        pictures, known = films.known
        learned, said = judge.learn(pictures, known[column].to_numpy()), films.labels[column]

        def asked(film: Film) -> dict[str, Statistic]:
            return {criterion: _mean_of(learned.right(film, said.to_numpy()).astype(float))}

        return asked

    return learn


def _joined(film: Film) -> UInt8[np.ndarray, "_ height width 3"]:
    return film.reshape(-1, *film.shape[2:])


def _share(counts: Shaped[np.ndarray, "_ 2"]) -> Statistic:
    """The first of the counts over the second, summed over TRs."""

    def share(trs) -> float:
        kept, whole = counts[trs].sum(axis=0)
        return float(kept / whole) if whole else float("nan")

    return share


def _mean_of(values: np.ndarray) -> Statistic:
    return lambda trs: known_mean(values[trs])


_ASKED = {"frames": _frames, "tracking": _tracking, "shots": _shots}

_ASKED |= {criterion: _probe(criterion) for criterion in PROBES}


def recorded(study: Study, trs: Trs) -> tuple[Float32[np.ndarray, " sample"] | None, int | None]:
    """The recording of consecutive TRs, from the onset of the first on, and its rate in Hz.

    None for a study without media, or media without sound.
    """
    media, onset_s = study.stimulus_at(int(trs[0]))
    rate_hz = None if media is None else probe(media).sound_rate_hz
    if rate_hz is None:
        return None, None
    first = round(onset_s * rate_hz)
    stop = round((onset_s + len(trs) * study.clock.tr_s) * rate_hz)
    (sound,) = sound_spans(media, rate_hz, [(first, stop)])
    return sound, rate_hz


# Long enough for a sentence and for a tempo.
PIECE_S = 12.0

# On a side; of less, neither likeness nor an object can be told.
LEAST_PIXELS = 16


def judge_reconstructions(
    experiment: ExperimentData, seed: int = 0, most_s: float | int | None = None
) -> pd.DataFrame:
    """What judges say of the first test block; kept in the run's tables, and read from there.

    Sound is cut into pieces of 12 s, and made audible by the study's vocoder; what is said in a
    piece is what the judge hears in the recording. Of a study without a recording, only pictures
    are judged; of pictures below 16 pixels on a side, nothing is.

    Arguments
        seed: of the learned systems.
        most_s: seconds of the block that are judged; None for the study's ``judged_s``.
    """
    file = experiment.folder / "tables" / f"judged_seed{seed}.csv"
    labels = {"study": experiment.study.name, "seed": seed}
    most_s = experiment.params.judged_s if most_s is None else most_s
    if not most_s:
        return pd.DataFrame(columns=list(COLUMNS))
    shown = {part: experiment.reconstructions(part, seed) for part in ("sound", "pictures")}
    labels["params_hash"] = params_hash(experiment.params) + experiment.training_hash()
    labels["params_hash"] += f"_{_digest(shown)}_{most_s:g}s"
    if file.exists() and "-dirty" not in git_hash():
        kept = read_table(file)
        if set(kept["params_hash"]) == {labels["params_hash"]} and set(kept["git"]) == {git_hash()}:
            return kept
    trs = consecutive(experiment.reconstruction_trs, experiment.study.run_of_tr)[0]
    trs = trs[: max(2, int(most_s / experiment.study.clock.tr_s))]
    rows = _of_sound(experiment, shown["sound"], trs, labels)
    rows += _of_pictures(experiment, shown["pictures"], trs, labels)
    return read_table(write_results(file, rows))


def _digest(shown: dict[str, dict[str, np.ndarray]]) -> str:
    """Of all that judges are shown, so that another training is judged anew."""
    found = hashlib.blake2b(digest_size=6)
    for part, windows in shown.items():
        for name, of in windows.items():
            found.update(f"{part} {name}".encode())
            found.update(np.ascontiguousarray(of))
    return found.hexdigest()


def _of_sound(
    experiment: ExperimentData, windows: dict[str, np.ndarray], trs: np.ndarray, labels: Row
) -> list[Row]:
    study = experiment.study
    sound, rate_hz = recorded(study, trs)
    if not windows or sound is None:
        return []
    vocoder = experiment.vocoder.vocoder
    sounds = {ROUND_TRIP if name == ORIGINAL else name: of for name, of in windows.items()}
    sounds = {name: vocoder(of[: len(trs)], study.clock) for name, of in sounds.items()}
    n_samples = min(map(len, sounds.values()))
    sounds[ORIGINAL] = _of_length(resample(sound, rate_hz, vocoder.rate_hz), n_samples)
    length = round(PIECE_S * vocoder.rate_hz)
    n_pieces = max(1, n_samples // length)
    ends = np.arange(1, n_pieces) * length
    pieces = {name: np.split(of[: n_pieces * length], ends) for name, of in sounds.items()}
    named = Pieces(pieces, vocoder.rate_hz, labels=_columns(pieces))
    return judged_sounds(named, **labels)


def _of_pictures(
    experiment: ExperimentData, shown: dict[str, np.ndarray], trs: np.ndarray, labels: Row
) -> list[Row]:
    study = experiment.study
    if not shown or min(shown[ORIGINAL].shape[2:4]) < LEAST_PIXELS:
        return []
    shown = {name: np.asarray(film[: len(trs)]) for name, film in shown.items()}
    of_trs = known = None
    if study.labels is not None:
        train = experiment.reconstruction_splits[0].train
        of_trs = study.labels.iloc[trs]
        known = np.asarray(study.pictures)[train], study.labels.iloc[train]
    films = Films(shown, study.clock.tr_s, of_trs, known, _columns(shown))
    return judged_pictures(films, **labels)


def _columns(names) -> dict[str, Row]:
    """System and size of a name such as "tier1 128"."""
    columns = {}
    for name in names:
        system, _, size = name.rpartition(" ")
        columns[name] = {"system": system, "floats_per_tr": int(size)} if size.isdigit() else {}
    return columns


def _of_length(sound: np.ndarray, n_samples: int) -> np.ndarray:
    return np.pad(sound, (0, max(0, n_samples - len(sound))))[:n_samples]


def main() -> None:
    """Prints a line a judge, and why it cannot be used here where it cannot."""
    for judge in judge_table().itertuples():
        print(f"{'yes' if judge.available else 'no ':4}{judge.name:24}{judge.criterion}")
        if not judge.available:
            print(textwrap.indent(textwrap.fill(judge.why_not, 96), " " * 4))


if __name__ == "__main__":
    main()
