"""What every notebook of a trained system shows of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from subtr.experiments.experiment import Experiment
from subtr.experiments.results import COLUMNS
from subtr.figures import bold, scores, stimulus
from subtr.notebooks.showing import histories, quoted, say, show

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
