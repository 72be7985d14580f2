"""Names in a params file to the classes that they stand for."""

from collections.abc import Callable
from typing import Any

from subtr.errors import SettingsError
from subtr.params import check_options, nearest


class Registry:
    """The parts of one kind, by name.

    Arguments
        kind: what the parts are, for messages: "encoder", "aggregator".
        parts: name to class or function. Its positional arguments come from the program, the
            keyword-only ones are options of the params file.
    """

    def __init__(self, kind: str, parts: dict[str, Callable[..., Any]]):
        self.kind, self.parts = kind, dict(parts)

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name not in self.parts:
            raise SettingsError(
                f"{name!r} is no known {self.kind}{nearest(name, sorted(self.parts))}"
            )
        return self.parts[name]

    def check(self, name: str, options: dict[str, Any]) -> dict[str, Any]:
        """The options of the part called ``name``, checked and converted.

        Raises
            SettingsError: unknown name or option, with the nearest right one; or a bad value.
        """
        return check_options(self[name], options, f"{self.kind} {name!r}")

    def build(self, name: str, *given: Any, **options: Any) -> Any:
        """A part made from what the program gives and the user's options.

        Raises
            SettingsError: as `check`.
        """
        return self[name](*given, **self.check(name, options))
