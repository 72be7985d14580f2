"""Helpers of notebooks: checking parameters, reports, what is shown and heard."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure

from subtr.datasets.study import Study
from subtr.decoders.vocoders import Chosen
from subtr.experiments.decoding import WHOLE, Decoded
from subtr.experiments.experiment import Experiment
from subtr.experiments.judged import recorded
from subtr.experiments.results import COLUMNS, summary
from subtr.params import SettingsError, nearest
from subtr.timeline import Trs, consecutive
from subtr.viewing import bold, scores, stimulus
from subtr.viewing.players import Gallery
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


MODALITIES = ("sound", "pictures", "bold")


@dataclass(frozen=True)
class SystemReport:
    """Systems trained with one seed, and their scores; made by `train`.

    Arguments
        number: of the notebook, before the names of the figures that it keeps.
        systems: those that the study has something for.
        modalities: those that are reported.
        rows: tidy rows of these systems, seed and modalities, see ``results.COLUMNS``.
    """

    experiment: Experiment
    number: str
    systems: tuple[str, ...]
    seed: int
    modalities: tuple[str, ...]
    rows: pd.DataFrame

    @classmethod
    def train(
        cls,
        experiment: Experiment,
        number: str,
        systems: Sequence[str],
        seed: int,
        modalities: Sequence[str] = MODALITIES,
    ) -> "SystemReport":
        """Trains what is not trained yet; a system that the study has nothing for is left out.

        Raises
            SettingsError: no such system, or a wrong option of it.
        """
        there = _present(experiment)
        fitting = [
            name
            for name in systems
            if any(getattr(experiment.system(name), part) is not None for part in there)
        ]
        tables = [experiment.train(name, seed) for name in fitting]
        rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
        rows = rows[rows["modality"].isin(list(modalities))]
        return cls(experiment, number, tuple(fitting), seed, tuple(modalities), rows)

    def has(self, modality: str, metric: str = "") -> bool:
        """Whether a modality was scored, by some metric or by this one."""
        rows = self.rows[self.rows["modality"] == modality]
        return bool(len(rows)) and (not metric or metric in set(rows["metric"]))

    def curves(self) -> None:
        """Losses by epoch, a figure a training."""
        for system in self.systems:
            for name, history in histories(self.experiment, system, self.seed).items():
                if any(f"_{modality}" in name for modality in self.modalities):
                    say(f"**{name.replace('_', ' ')}**")
                    show(self.experiment, scores.training_curves(history), f"{self.number}_{name}")

    def bands(self) -> None:
        """Temporal preservation of sound by band of modulation."""
        if not self.has("sound"):
            self._lacks("sound")
            return
        drawn = scores.preservation_by_band(self.rows, "sound")
        self.show(drawn, "preservation_by_band")

    def kept(self) -> None:
        """Temporal preservation as sentences."""
        for modality in ("sound", "pictures"):
            if self.has(modality):
                kept = quoted(self.rows, modality, "temporal preservation")
                say(f"Temporal preservation of {modality}: {kept}.")

    def pictures(self, tr: int = 2) -> None:
        """Pictures of one TR of the test block, the original first.

        Arguments
            tr: counted from the start of the test block.
        """
        chosen = self.reconstructed_pictures()
        if not chosen:
            self._lacks("pictures")
            return
        drawn = stimulus.picture_strips(chosen, min(tr, len(chosen["original"]) - 1))
        self.show(drawn, "pictures")

    def bold(self) -> None:
        """Held-out r by class of parcels or region, and what shuffled frames leave of it."""
        if not self.has("bold", "r"):
            say(f"No BOLD was predicted: {self.experiment.study.name} lacks BOLD or sound.")
            return
        self.show(bold.bold_by_group(self.rows, self.bold_metric), "bold_by_group")
        say(f"Held-out r: {quoted(self.rows, 'bold', 'r')}; with frames shuffled within each TR:")
        say(quoted(self.rows, "bold", "r, frames shuffled"))

    @property
    def bold_metric(self) -> str:
        """The share of the noise ceiling, where there is one."""
        return "r / ceiling" if self.has("bold", "r / ceiling") else "r"

    def reconstructed_pictures(self) -> dict:
        """Name with size -> pictures of the test TRs, the original first; none without pictures."""
        if not self.has("pictures"):
            return {}
        found = self.experiment.reconstructions("pictures", self.seed)
        order = ("original", *self.systems)
        return {
            name: found[name]
            for wanted in order
            for name in found
            if name == wanted or name.rsplit(" ", 1)[0] == wanted
        }

    def show(self, figure, name: str) -> None:
        """Shows a figure and keeps it under the notebook's number and the seed."""
        show(self.experiment, figure, f"{self.number}_{name}_seed{self.seed}")

    def _lacks(self, what: str) -> None:
        say(f"{self.experiment.study.name} has no {what}, or none of it was trained.")


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
    return [name for name in MODALITIES if there[name]]


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
