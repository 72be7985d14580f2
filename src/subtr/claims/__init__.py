"""What the report claims beside what is measured here.

``claims_table(results)`` is all that a notebook needs, `styled_claims` shows it;
``python -m subtr.claims`` prints it.
"""

from subtr.claims.claim import Claim, read_claims
from subtr.claims.configurations import Setting
from subtr.claims.table import RULE, claims_table, styled_claims

__all__ = ["RULE", "Claim", "Setting", "claims_table", "read_claims", "styled_claims"]
