"""A system without each of its components in turn: what does each of them add?"""

import pandas as pd

from subtr.experiment_data import ExperimentData
from subtr.params import SettingsError, params_hash
from subtr.results import read_table, write_results
from subtr.scoring import Row
from subtr.system_training import prediction_rows, reconstruction_rows

WHOLE = "all of it"


def ablate(experiment: ExperimentData, name: str, seed: int = 0) -> pd.DataFrame:
    """Trains a system once without each component that its YAML lists under ``ablations``.

    Only the parts that lack something are trained; the whole system is read where it is trained
    already. The table is kept in the run folder under ``ablations``, apart from those of systems.

    Returns
        Tidy rows whose ``system`` says what is left out, "without ..."; first the whole, WHOLE.

    Raises
        SettingsError: the system lists no ablations, or none of a part that the study has.
    """
    system = experiment.system(name)
    rows: list[Row] = []
    touched: dict[str, None] = {}
    for component in system.ablations:
        left = system.without(component)
        parts = _present(experiment, system.parts_of(component))
        touched |= dict.fromkeys(parts)
        rows += _rows(experiment, f"{name} without {component}", left, parts, seed)
    if not rows:
        raise SettingsError(
            f"system_{name}.yaml: expected `ablations` of sound, pictures or BOLD that "
            f"{experiment.study.name} has, such as {{no encoder: {{sound.stream.encoder: "
            "{name: linear}}}."
        )
    whole = _rows(experiment, name, system, list(touched), seed)
    rows = [row | {"system": row["system"].removeprefix(f"{name} ")} for row in rows]
    whole = [row | {"system": WHOLE} for row in whole]
    file = experiment.folder / "ablations" / f"{name}_seed{seed}.csv"
    return read_table(write_results(file, [*whole, *rows]))


def _rows(experiment: ExperimentData, label: str, system, parts: list[str], seed: int) -> list[Row]:
    labels = {"study": experiment.study.name, "system": label, "seed": seed}
    labels["params_hash"] = params_hash(experiment.params, system)
    rows = []
    for part in parts:
        if part == "bold":
            rows += prediction_rows(experiment, system.bold, labels, keep=False)
        else:
            rows += reconstruction_rows(experiment, part, getattr(system, part), labels, keep=False)
    return rows


def _present(experiment: ExperimentData, parts: list[str]) -> list[str]:
    study = experiment.study
    there = {
        "sound": study.mel is not None,
        "pictures": study.pictures is not None,
        "bold": bool(study.bold) and study.frames is not None,
    }
    return [part for part in parts if there[part]]


def by_component(table: pd.DataFrame) -> pd.DataFrame:
    """What `ablate` gave, as `subtr.figures.without_parts` draws it.

    Returns
        Columns ``without``, ``group`` (sound, pictures, or class of parcels) and ``value``: of
        reconstructions the temporal preservation, of BOLD r as a share of its ceiling where there
        is one.
    """
    shared = "r / ceiling" if "r / ceiling" in set(table["metric"]) else "r"
    of_bold = (table["metric"] == shared) & (table["group"] != "")
    kept = table[of_bold | (table["metric"] == "temporal preservation")]
    group = kept["group"].where(kept["modality"] == "bold", kept["modality"])
    without = kept["system"].str.removeprefix("without ")
    return pd.DataFrame({"without": without, "group": group, "value": kept["value"]})
