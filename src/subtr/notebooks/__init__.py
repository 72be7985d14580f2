"""What the notebooks share, so that their cells hold little but a question and its figure."""

from subtr.notebooks.checking import check_parameters
from subtr.notebooks.reports import SystemReport, trained_systems
from subtr.notebooks.showing import excerpt, histories, quoted, reconstructed, say, show

__all__ = [
    "SystemReport",
    "check_parameters",
    "excerpt",
    "histories",
    "quoted",
    "reconstructed",
    "say",
    "show",
    "trained_systems",
]
