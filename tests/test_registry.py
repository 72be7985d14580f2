"""A part is found by its name, and a wrong name or option stops before it is built."""

from typing import Annotated

import pytest
from pydantic import Field

from subtr.params import Registry, SettingsError


class Widener:
    def __init__(self, in_dim, out_dim, *, factor: Annotated[int, Field(ge=1)] = 2):
        self.given, self.factor = (in_dim, out_dim), factor


def narrower(in_dim, *, keep: bool = False):
    return in_dim, keep


PARTS = Registry("resizer", {"widener": Widener, "narrower": narrower})


def test_a_part_gets_what_the_program_gives_and_what_the_user_chose():
    made = PARTS.build("widener", 3, 4, factor="5")
    assert (made.given, made.factor) == ((3, 4), 5)
    assert PARTS.build("widener", 3, 4).factor == 2
    assert PARTS.build("narrower", 7, keep=True) == (7, True)


def test_an_unknown_name_gets_kind_nearest_and_all_known():
    message = r"'widner' is no known resizer\. Did you mean 'widener'\? Known: narrower, widener\."
    with pytest.raises(SettingsError, match=message):
        PARTS.build("widner", 3, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"facter": 3}, r"resizer 'widener':\n +facter: unknown key\. Did you mean 'factor'"),
        ({"factor": 0}, r"resizer 'widener':\n +factor = 0: .*greater than or equal to 1"),
        ({"in_dim": 3}, r"in_dim: unknown key"),
    ],
)
def test_a_wrong_option_names_part_key_and_value(options, message):
    with pytest.raises(SettingsError, match=message):
        PARTS.check("widener", options)


def test_a_registry_keeps_its_parts_when_the_table_it_came_from_changes():
    parts = {"narrower": narrower}
    made = Registry("resizer", parts)
    parts.clear()
    assert made["narrower"] is narrower
