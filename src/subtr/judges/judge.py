"""What all judges share: what each measures, whose work it is, and whether it is at hand."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar

from subtr.params import SubtrError


class JudgeMissing(SubtrError, ImportError):  # noqa: N818
    """A judge's package or weights are not on this machine; the message says how to get them."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """An independent model, made by others, that scores reconstructions.

    A judge is built from its options alone, which are its fields; it loads its package and its
    weights when it is first asked, and works offline on the CPU.

    Class attributes
        name: by which `load_judge` finds it.
        criterion: the success criterion that it measures, in the words of a results table.
        package: what is installed for it, as PyPI calls it.
        licence: of code and weights.
        source: the paper it follows.
        modules: what it imports; all must be found for it to be at hand.
    """

    name: ClassVar[str]
    criterion: ClassVar[str]
    package: ClassVar[str]
    licence: ClassVar[str]
    source: ClassVar[str]
    modules: ClassVar[tuple[str, ...]] = ()

    def check(self) -> None:
        """Nothing, if all that the judge needs is at hand; nothing is loaded.

        Raises
            JudgeMissing: a module or weights are missing; a judge with weights extends this.
        """
        for module in self.modules:
            if find_spec(module) is None:
                raise self.missing(f"the Python module {module} is not installed")

    def missing(self, what: str, remedy: str = "") -> JudgeMissing:
        """The error that names what is missing; the remedy is `make judges` unless given."""
        remedy = remedy or f"`make judges` installs it ({self.package})"
        return JudgeMissing(f"The judge {self.name!r} cannot be used: {what}. {remedy}.")
