"""Helpers of notebooks: parameters, folds, tables, figures, conclusions, what is heard."""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from torch import nn

from subtr.datasets.study import Fold, Study
from subtr.decoders.vocoders import Chosen
from subtr.experiments.decoding import WHOLE, Decoded
from subtr.experiments.experiment import Experiment, training_folds, with_features_of
from subtr.experiments.judged import recorded
from subtr.experiments.results import COLUMNS, read_table, summary
from subtr.models.stream import JointStream, Stream
from subtr.params import SettingsError, nearest
from subtr.timeline import Trs, consecutive
from subtr.viewing.players import Gallery
from subtr.viewing.scores import training_curves
from subtr.viewing.stimulus import checked_trs

# How papermill begins the cell that it puts behind the one tagged `parameters`.
_INJECTED = "# Parameters\n"


def check_parameters(cells: Sequence[str]) -> None:
    """Refuses what papermill only warns about: parameters that the notebook does not have.

    Arguments
        cells: the code that has been run so far, IPython's ``In``.

    Raises
        SettingsError: an unknown name, or a value of another type than the notebook's own.
    """
    known: dict[str, object] = {}
    for cell in cells:
        given = _assigned(cell)
        if not cell.startswith(_INJECTED):
            known |= given
            continue
        for name, value in given.items():
            if name not in known:
                raise SettingsError(f"unknown parameter {name!r}{nearest(name, list(known))}")
            if type(value) is not type(known[name]):
                raise SettingsError(
                    f"{name} = {value!r}: expected {type(known[name]).__name__}, such as "
                    f"{known[name]!r}. papermill's -r passes text as it is, -p guesses its type."
                )


def _assigned(cell: str) -> dict[str, object]:
    """Name -> value of each plain constant that a cell assigns; nothing if it is not Python."""
    values = {}
    try:
        statements = ast.parse(cell).body
    except SyntaxError:  # magics
        return {}
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                values[statement.targets[0].id] = ast.literal_eval(statement.value)
            except ValueError:
                continue
    return values


def say(text: str) -> None:
    """Shows a finding as prose."""
    display(Markdown(text))


def show(experiment: Experiment, figure: Figure, name: str) -> None:
    """Shows a figure and keeps it in the run's figures folder."""
    experiment.store.keep_figure(figure, name)
    display(figure)


def quoted(rows: pd.DataFrame, modality: str, metric: str, system: str = "") -> str:
    """A score of the whole for a sentence: "tier1 (128 floats a TR) 0.61 [0.58, 0.63]".

    Arguments
        rows: tidy rows, see ``results.COLUMNS``.
        system: of this system only; of every one by default, parted by semicolons.
    """
    chosen = (rows["modality"] == modality) & (rows["metric"] == metric) & (rows["group"] == "")
    if system:
        chosen &= rows["system"] == system
    said = []
    for row in summary(rows[chosen]).to_dict("records"):
        floats = row["floats_per_tr"]
        size = "" if np.isnan(floats) else f" ({floats:g} floats a TR)"
        interval = "" if np.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]"
        said.append(f"{row['system']}{size} {row['value']:z.2f}{interval}")
    return "; ".join(said) or "not measured"


def histories(experiment: Experiment, system: str, seed: int) -> Mapping[str, pd.DataFrame]:
    """Name -> losses by epoch, of each training of a system with one seed."""
    history = experiment.store.history(f"{system}_")
    of_seed = history["training"].str.contains(rf"_seed{seed}(?:_|$)")
    return {str(name): part for name, part in history[of_seed].groupby("training")}


def excerpt(
    study: Study,
    trs: Trs,
    mels: Mapping[str, Float[np.ndarray, "_ _ _"]] | None = None,
    pictures: Mapping[str, UInt8[np.ndarray, "_ _ _ _ 3"]] | None = None,
    vocoder: Chosen | None = None,
) -> Gallery:
    """Players of some consecutive TRs, numbered from 0; with the recording where there is one.

    Arguments
        mels, pictures: name -> log-mel or pictures of these TRs alone.
        vocoder: see `Gallery`.
    """
    trs = checked_trs(trs, study.clock.n_trs)
    _, onset_s = study.stimulus_at(int(trs[0]))
    clock = replace(study.clock, onset_s=float(onset_s), n_trs=len(trs))
    recording, rate_hz = recorded(study, trs) if mels else (None, None)
    if recording is not None:
        first = round(onset_s * rate_hz)
        before = np.zeros(max(first, 0), np.float32)
        recording = np.concatenate([before, recording[max(-first, 0) :]])
    shown = mels or {}, pictures or {}
    return Gallery(clock, study.mel_settings, *shown, recording, rate_hz, vocoder)


def reconstructed(experiment: Experiment, seed: int, systems: Sequence[str]) -> Gallery | None:
    """Players of the first test block as systems reconstruct it, the original first.

    None where the study has neither sound nor pictures, such as BOLD with annotations alone.

    Arguments
        systems: names without size, such as "PCA"; those that the run lacks are left out.
    """
    study = experiment.study
    trs = consecutive(experiment.reconstruction_trs, study.run_of_tr)[0]
    found = {}
    for modality in ("sound", "pictures"):
        windows = experiment.reconstructions(modality, seed)
        wanted = ["original", *systems]
        found[modality] = {
            name: values[: len(trs)]
            for system in wanted
            for name, values in windows.items()
            if name == system or name.rsplit(" ", 1)[0] == system
        }
    if not any(found.values()):
        return None
    return excerpt(study, trs, found["sound"], found["pictures"], experiment.vocoder)


PARTS = ("sound", "pictures", "bold")

KEPT = "within-TR R²"

_NAMES = {"sound": "audio", "pictures": "video", "bold": "BOLD"}


def part_folds(experiment: Experiment, system: str, part: str, seed: int = 0) -> list[Fold]:
    """The folds that a part of a system is trained on; none where there is nothing to train.

    What is missing, in the study or in the system's params file, is told in a sentence.

    Arguments
        part: "sound", "pictures" or "bold"; of an autoencoder, its first size.

    Raises
        SettingsError: no such system, or a wrong option of it.
    """
    params = getattr(experiment.system(system), part)
    if part not in _present(experiment):
        say(f"{experiment.study.name} has no {_NAMES[part]} that {system} could learn from.")
        return []
    if params is None:
        say(f"system_{system}.yaml has no `{part}`: nothing of it is trained on {_NAMES[part]}.")
        return []
    if part == "bold":
        experiment = with_features_of(experiment, params)
    else:
        params = params.of_size(params.floats_per_tr[0])
    return training_folds(experiment, system, part, params, seed)


def levels(stream: Stream | JointStream, tr_s: float) -> pd.DataFrame:
    """What the aggregator is given: a row a level, the finest first.

    Returns
        Index the level's name; columns rate_hz, receptive_field_s (seconds of stimulus that one
        frame of the level sees), features.
    """
    encoder, hz = stream.encoder, stream.frames_per_tr / tr_s
    of = tr_s if isinstance(stream, JointStream) else hz
    rates_hz, fields_s = list(encoder.frame_hz(of)), list(encoder.receptive_field_s(of))
    features = list(encoder.level_dims)
    if stream.keep_input:
        rates_hz, fields_s, features = [hz, *rates_hz], [1 / hz, *fields_s], [None, *features]
    columns = {"rate_hz": rates_hz, "receptive_field_s": fields_s, "features": features}
    index = pd.Index(stream.level_names(tr_s), name="level")
    return pd.DataFrame(columns, index=index).astype({"features": "Int64"})


def n_learned(model: nn.Module) -> int:
    """Numbers that a network learns."""
    return sum(of.numel() for of in model.parameters() if of.requires_grad)


def train_and_score(
    experiment: Experiment, systems: Sequence[str], seed: int, parts: Sequence[str] = PARTS
) -> pd.DataFrame:
    """Every part of the systems by `Experiment.train`, which keeps tables and reconstructions.

    A system that the study has nothing for is left out.

    Returns
        Tidy rows (see ``results.COLUMNS``) of the parts asked for.
    """
    there = _present(experiment)
    fitting = [
        name
        for name in systems
        if any(getattr(experiment.system(name), part) is not None for part in there)
    ]
    tables = [experiment.train(name, seed) for name in fitting]
    rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    return rows[rows["modality"].isin(list(parts))].reset_index(drop=True)


def kept_rows(experiment: Experiment, system: str, seed: int) -> pd.DataFrame:
    """The rows that another notebook kept of a system; none if it has not been trained."""
    file = experiment.folder / "tables" / f"{system}_seed{seed}.csv"
    return read_table(file) if file.exists() else pd.DataFrame(columns=COLUMNS)


def draw(
    experiment: Experiment, name: str, figure_of: Callable[..., Figure], *given: Any, **options: Any
) -> None:
    """Shows and keeps ``figure_of(*given)``, or says what it lacks to be drawn."""
    try:
        figure = figure_of(*given, **options)
    except SettingsError as error:
        say(f"No figure `{name}`: {error}")
        return
    show(experiment, figure, name)


def draw_losses(
    experiment: Experiment, systems: Sequence[str], seed: int, number: str, parts=PARTS
) -> None:
    """Losses by epoch of what is trained, a figure a training.

    Arguments
        number: of the notebook, before the names of the figures.
    """
    for system in systems:
        for name, history in histories(experiment, system, seed).items():
            if any(f"_{part}" in name for part in parts):
                say(f"**{name.replace('_', ' ')}**")
                show(experiment, training_curves(history), f"{number}_{name}")


def bold_metric(rows: pd.DataFrame) -> str:
    """The share of the noise ceiling, where there is one; else r."""
    of_bold = rows.loc[rows["modality"] == "bold", "metric"]
    return "r / ceiling" if "r / ceiling" in set(of_bold) else "r"


def reconstructed_pictures(
    experiment: Experiment, systems: Sequence[str], seed: int
) -> dict[str, UInt8[np.ndarray, "tr picture height width 3"]]:
    """Name with size -> pictures of the test TRs, the original first; none without pictures."""
    found = experiment.reconstructions("pictures", seed)
    chosen = {
        name: found[name]
        for wanted in ("original", *systems)
        for name in found
        if name == wanted or name.rsplit(" ", 1)[0] == wanted
    }
    return chosen if len(chosen) > 1 else {}


def outcome(
    rows: pd.DataFrame,
    part: str,
    metric: str,
    system: str,
    averaging: pd.DataFrame | None = None,
    group: str = "",
) -> str:
    """What came out, as a sentence that follows from the numbers.

    A system is above averaging where its whole interval lies above that of averaging. Where
    averaging has not been scored, its interval must lie above the floor; of BOLD, whose floor is
    what 95 % of shifts in time stay below, the value must, and the interval above 0.

    Arguments
        rows: tidy rows, see ``results.COLUMNS``.
        averaging: rows of the averaging system; None, or no such rows, for the floor.
        group: of parcels; all of them by default.
    """
    subject = _subject(part, metric) + (f", {group} parcels" if group else "")
    row = _score(rows, part, metric, system, group)
    if row is None:
        return f"{system}: {subject} was not measured."
    sentence = f"**{system}** reaches {_number(row)} in {subject}"
    ends = [f"{end} {row[end]:z.2f}" for end in ("floor", "ceiling") if np.isfinite(row[end])]
    sentence += f" ({', '.join(ends)})" * bool(ends)
    other = None
    if averaging is not None and system != "averaging":
        other = _score(averaging, part, metric, "averaging", group)
    if other is not None:
        low, bar = row["low"], np.fmax(other["value"], other["high"])
        against = f"averaging, which reaches {_number(other)}"
    elif np.isfinite(row["floor"]):
        low, bar, against = row["low"], row["floor"], "the floor"
        if part == "bold":
            # A quantile of chance already: the value must pass it, and the interval 0.
            low, bar = min(row["value"] - bar, np.nan_to_num(low, nan=row["value"])), 0.0
    else:
        return f"{sentence}."
    above = (row["value"] if np.isnan(low) else low) > bar
    return f"{sentence}: it **{'is' if above else 'is not'} above** {against}."


def labelled(scores: pd.DataFrame, system: str, part: str) -> pd.DataFrame:
    """Scores of one estimator as tidy rows, see ``results.COLUMNS``."""
    labels = {"study": "", "system": system, "seed": 0, "modality": part, "group": ""}
    missing = {name: value for name, value in labels.items() if name not in scores}
    return scores.assign(**missing).reindex(columns=list(COLUMNS))


def compared(rows: pd.DataFrame, part: str, metric: str, one: str, other: str) -> str:
    """Two systems side by side as a sentence; they differ where their intervals do not overlap."""
    first, second = (_score(rows, part, metric, name, "") for name in (one, other))
    if first is None or second is None:
        missing = one if first is None else other
        return f"{_subject(part, metric)}: {missing} was not measured."
    sentence = f"**{one}** reaches {_number(first)} in {_subject(part, metric)}, {other} "
    sentence += _number(second)
    apart = first["low"] > second["high"] or second["low"] > first["high"]
    return f"{sentence}: their intervals {'do not overlap' if apart else 'overlap'}."


def conclude(
    rows: pd.DataFrame, systems: Sequence[str], averaging: pd.DataFrame | None = None
) -> None:
    """Says the `outcome` of each system that was scored: audio, video, BOLD."""
    metrics = {"sound": KEPT, "pictures": KEPT, "bold": bold_metric(rows)}
    said = [
        outcome(rows, part, metric, system, averaging)
        for part, metric in metrics.items()
        for system in systems
        if _score(rows, part, metric, system, "") is not None
    ]
    say("\n".join(f"- {sentence}" for sentence in said) or "Nothing was scored in this study.")


def _score(rows: pd.DataFrame, part: str, metric: str, system: str, group: str) -> pd.Series | None:
    """The summary of one score; of several sizes, the largest. None where there is no number."""
    named = (rows["modality"] == part) & (rows["metric"] == metric)
    chosen = rows[named & (rows["system"] == system) & (rows["group"] == group)]
    of_sizes = summary(chosen).dropna(subset="value") if len(chosen) else chosen
    if not len(of_sizes):
        return None
    return of_sizes.sort_values("floats_per_tr").iloc[-1]


def _subject(part: str, metric: str) -> str:
    return f"{'within-TR R²' if metric == KEPT else metric} of {_NAMES[part]}"


def _number(row: pd.Series) -> str:
    interval = "" if np.isnan(row["low"]) else f" [{row['low']:z.2f}, {row['high']:z.2f}]"
    return f"{row['value']:z.2f}{interval}"


def trained_systems(experiment: Experiment) -> list[str]:
    """Systems of the parameter set that this run has scores of; averaging first."""
    files = experiment.params_folder.glob("system_*.yaml")
    known = {file.stem.removeprefix("system_") for file in files}
    names = known & set(experiment.results()["system"])
    return sorted(names, key=lambda name: (name != "averaging", name != "tier1", name))


def _present(experiment: Experiment) -> list[str]:
    study = experiment.study
    there = {
        "sound": study.mel is not None,
        "pictures": study.pictures is not None,
        "bold": bool(study.bold) and study.frames is not None,
    }
    return [name for name in PARTS if there[name]]


def players(
    study: Study,
    decoded: Mapping[str, Decoded],
    lesioned: Mapping[str, Decoded] | None = None,
    scores: pd.DataFrame | None = None,
    vocoder: Chosen | None = None,
) -> Gallery:
    """The first test block: original, true vectors decoded, and decoded from BOLD.

    Arguments
        decoded: modality ("sound", "pictures") -> what was decoded.
        lesioned, scores: see `subtr.experiments.decoding.lesions`; of the lesions, the one that
            costs most is shown.
        vocoder: see `subtr.viewing.players.Gallery`.
    """
    shown: dict[str, dict] = {}
    for modality, of in decoded.items():
        trs = consecutive(of.trs[of.folds[0]], study.run_of_tr)[0]
        named = {"original": of.original, "true vectors": of.ceiling, "from BOLD": of.from_bold}
        for name, lesion in _worst(lesioned or {}, scores).items():
            if lesion.modality == modality:
                named[f"from BOLD, {name}"] = lesion.from_bold
        shown[modality] = {name: values[: len(trs)] for name, values in named.items()}
    return excerpt(study, trs, shown.get("sound"), shown.get("pictures"), vocoder)


def _worst(lesioned: Mapping[str, Decoded], scores: pd.DataFrame | None) -> dict[str, Decoded]:
    if scores is None or not len(scores):
        return {}
    lost = scores[scores["metric"].str.endswith("lost without")]
    name = f"without {lost.loc[lost['value'].idxmax(), 'group']}"
    return {name: lesioned[name]} if name in lesioned and name != WHOLE else {}
