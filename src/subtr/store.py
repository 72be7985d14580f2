"""What a run keeps on disk beside its tables: reconstructions, histories, figures."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Shaped
from matplotlib.figure import Figure

from subtr.results import ResultsError


@dataclass(frozen=True)
class Store:
    """The folder of a run."""

    folder: Path

    def keep_windows(
        self, name: str, modality: str, windows: Shaped[np.ndarray, "..."], seed: int | None
    ):
        """Keeps the reconstruction of the test TRs; a seed of None belongs to every seed."""
        # Half precision is far finer than what a reconstruction gets wrong.
        kept = windows.astype(np.float16) if modality == "sound" else windows
        stem = f"{name.replace(' ', '-')}_{modality}" + ("" if seed is None else f"_seed{seed}")
        file = self._in("reconstructions") / f"{stem}.npz"
        np.savez(
            file, windows=kept, name=name, modality=modality, seed=-1 if seed is None else seed
        )

    def windows(self, modality: str, seed: int) -> dict[str, Shaped[np.ndarray, "..."]]:
        """Name -> reconstruction, of one seed and of what has none."""
        found = {}
        for file in sorted(self._in("reconstructions").glob("*.npz")):
            with np.load(file) as kept:
                if str(kept["modality"]) == modality and int(kept["seed"]) in (seed, -1):
                    values = kept["windows"]
                    sound = modality == "sound"
                    found[str(kept["name"])] = values.astype(np.float32) if sound else values
        return found

    def keep_history(self, training: str, history: pd.DataFrame):
        """Keeps losses by epoch."""
        history.to_csv(self._in("histories") / f"{training}.csv", index=False)

    def history(self, beginning: str = "") -> pd.DataFrame:
        """Losses by epoch of the trainings whose name begins so, with a column ``training``."""
        files = sorted(self._in("histories").glob(f"{beginning}*.csv"))
        if not files:
            raise ResultsError(f"{self.folder}: no history of {beginning!r}; train it first.")
        parts = [pd.read_csv(file).assign(training=file.stem) for file in files]
        return pd.concat(parts, ignore_index=True)

    def forget_other_sizes(self, system: str, seed: int, sizes: Iterable[int]):
        """Removes what an earlier training of a system left at sizes that it has no more."""
        pattern = re.compile(rf"{re.escape(system)}[-_](\d+)_(\w+_)?seed{seed}(_\w+)?\.(npz|csv)")
        for folder in ("reconstructions", "histories"):
            for file in self._in(folder).iterdir():
                named = pattern.fullmatch(file.name)
                if named and int(named[1]) not in set(sizes):
                    file.unlink()

    def keep_figure(self, figure: Figure, name: str) -> Path:
        """Keeps figures/<name>.png."""
        file = self._in("figures") / f"{name}.png"
        figure.savefig(file, dpi=150, bbox_inches="tight")
        return file

    def _in(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder
