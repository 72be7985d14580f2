"""Reconstructions before judges: tidy rows with floor, ceiling and interval."""

from subtr.judging.sounds import SOUND_JUDGES, Pieces, judged_sounds

__all__ = ["SOUND_JUDGES", "Pieces", "judged_sounds"]
