"""The notebooks' answer book: predict first, fill in, check at once.

    from mtlnas_lab.exercises import check, predict, reveal
    check("05.entropy", entropy_by_hand)             # draws, says what is wrong, never raises
    predict("05.first", "Which edges close first?", ["deep ones", "shallow ones"])

The checks of one notebook are one file here, `n05.py` for notebook 05; `mtlnas-lab progress` shows what is solved.
"""

from .book import Verdict, Wrong, check, exercise
from .guesses import predict, reveal

__all__ = ["Verdict", "Wrong", "check", "exercise", "predict", "reveal"]
