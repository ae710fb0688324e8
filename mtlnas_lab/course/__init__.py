"""The notebooks' answer book: predict first, fill in, check at once.

    from mtlnas_lab.course import check, predict, reveal
    check("05.entropy", entropy_by_hand)             # draws, says what is wrong, never raises
    predict("05.first", "Which edges close first?", ["deep ones", "shallow ones"])

The checks of one notebook are one file of `checks/`; `mtlnas-lab progress` shows what is solved.
"""

from __future__ import annotations

from .checking import Verdict, Wrong, check, exercise
from .predictions import predict, reveal

__all__ = ["Verdict", "Wrong", "check", "exercise", "predict", "reveal"]
