"""What judges hear in sounds of several systems, beside averaging and the vocoder's round trip."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Float64
from tqdm.auto import tqdm

from subtr.judges import load_judge
from subtr.judges.judge import Judge, JudgeMissing, SoundJudge
from subtr.judges.speech import word_errors
from subtr.metrics.inference import block_bootstrap
from subtr.params import SettingsError
from subtr.scoring import Row

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
        found[name] = [_row(judge.measure, errors.accuracy, len(said))]
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
                _row(metric, lambda of=slice(None), known=known: known[of].mean(), len(known))
            )
    return rows


def _row(metric: str, statistic, n_pieces: int) -> Row:
    row = {"metric": metric, "value": float(statistic())}
    if n_pieces < 2:
        return row
    low, high = block_bootstrap(statistic, n_pieces, 1, n_boot=500)
    return row | {"low": low, "high": high}
