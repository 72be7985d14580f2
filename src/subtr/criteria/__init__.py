"""The report's criteria of success beside what is measured."""

from subtr.criteria.criterion import Criterion, read_criteria
from subtr.criteria.table import criteria_table, styled_criteria

__all__ = ["Criterion", "criteria_table", "read_criteria", "styled_criteria"]
