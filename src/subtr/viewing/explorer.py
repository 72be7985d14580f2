"""Widgets to choose TRs and systems, where there are any that answer."""

import os
from collections.abc import Callable, Sequence

from IPython import get_ipython
from IPython.display import display

from subtr.params import SubtrError


def live_widgets():
    """The module ipywidgets where its widgets can answer, else None and the reason."""
    wish = os.environ.get("SUBTR_STATIC", "")
    if wish not in ("", "0"):
        return None, f"SUBTR_STATIC is {wish}"
    try:
        import ipywidgets
    except ImportError:
        return None, "ipywidgets is not installed"
    # Jupyter and VS Code say so to the kernels they start; papermill and nbconvert do not.
    live = get_ipython() is not None and ({"JPY_SESSION_NAME", "VSCODE_PID"} & set(os.environ))
    if live or wish == "0":
        return ipywidgets, ""
    return None, "this notebook is not live: open it in JupyterLab to choose"


def show_widgets(
    widgets, n_trs: int, first_last: tuple[int, int], names: Sequence[str], show: Callable
) -> None:
    """A slider of TRs and a list of systems above what ``show(trs, names)`` displays.

    ``names`` given to ``show`` is None for all systems. What the user chose wrongly is said in
    place of the players.
    """
    span = widgets.IntRangeSlider(
        value=first_last, max=n_trs - 1, description="TRs", continuous_update=False
    )
    system = widgets.Dropdown(options=["all", *names], description="System")
    output = widgets.Output()

    def refresh(_=None):
        output.clear_output(wait=True)
        first, last = span.value
        with output:
            try:
                show(range(first, last + 1), None if system.value == "all" else [system.value])
            except SubtrError as error:
                print(error)

    for control in (span, system):
        control.observe(refresh, names="value")
    display(widgets.VBox([widgets.HBox([span, system]), output]))
    refresh()
