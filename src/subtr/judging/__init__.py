"""Reconstructions before judges: tidy rows with floor, ceiling and interval."""

from subtr.judging.experiment import judge_reconstructions
from subtr.judging.pictures import Films, judged_pictures
from subtr.judging.sounds import Pieces, judged_sounds

__all__ = ["Films", "Pieces", "judge_reconstructions", "judged_pictures", "judged_sounds"]
