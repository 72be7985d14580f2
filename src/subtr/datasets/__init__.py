"""Studies by name: a simulated one, real ones, and any film of the user's."""

from pathlib import Path
from typing import Any

from subtr.datasets.alice import load_alice
from subtr.datasets.bids import load_bids
from subtr.datasets.film import load_development_fmri, load_film
from subtr.datasets.sherlock import load_sherlock
from subtr.datasets.simulated import load_simulated
from subtr.datasets.study import Study
from subtr.params import Registry

STUDIES = Registry(
    "study",
    {
        "simulated": load_simulated,
        "alice": load_alice,
        "sherlock": load_sherlock,
        "bids": load_bids,
        "development_fmri": load_development_fmri,
        "film": load_film,
    },
)


def load_study(
    name: str, options: dict[str, Any] | None = None, media: Path | str | None = None, **more: Any
) -> Study:
    """The study called ``name``.

    Arguments
        name: a name in ``STUDIES``.
        options: of its loader, as they stand under ``load`` in a params file.
        media: a film or sound in place of the study's own; the study "film" needs one.
        more: further options, by name.

    Raises
        SettingsError: unknown name or option, with the nearest right one; or a bad value.
        StudyError, MediaError: the data are missing or do not fit together.

    Example
        >>> import subtr as st
        >>> study = st.load_study("simulated", duration_s=60, n_subjects=2)
        >>> study.clock.n_trs, study.subjects
        (40, ['simulated 1', 'simulated 2'])
    """
    return STUDIES.build(name, None if media is None else Path(media), **(options or {}), **more)
