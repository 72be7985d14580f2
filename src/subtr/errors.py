"""Errors that a user can act on: they name the file and value, what was expected, what to do."""


class SubtrError(Exception):
    """Something the user gave cannot be used; the message says what, why and what to do."""


class SettingsError(SubtrError, ValueError):
    """A parameter is unknown, misspelt, of the wrong unit or out of range."""


class StudyError(SubtrError, ValueError):
    """The stimulus and the BOLD of a study do not fit together, or a part of it is missing."""


class StudyWarning(UserWarning):
    """A part of a study is unusable and was masked or left out; the message names it."""
