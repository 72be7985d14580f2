"""A whole film through a few numbers a TR, in a stream: film in, mp4 out.

Blocks of TRs are decoded, encoded to numbers, drawn again from these and kept on disk; then sound
is made of the log-mel, and both are written as an mp4. Memory does not grow with the film, and
what was finished before an interruption is not made again.
"""

from subtr.film_reconstruction.plan import FilmPlan, plan_film
from subtr.film_reconstruction.whole_film import reconstruct_film

__all__ = ["FilmPlan", "plan_film", "reconstruct_film"]
