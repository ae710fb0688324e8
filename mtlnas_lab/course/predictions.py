"""Predict first: a question before an experiment, whose answer is kept until the experiment has spoken."""

from __future__ import annotations

import html
from collections.abc import Sequence

from . import progress


class Question:
    """A question with choices, or with a number between two ends; the committed guess survives a restart."""

    def __init__(
        self,
        name: str,
        question: str,
        choices: Sequence[str] | None,
        between: tuple[float, float] | None,
    ):
        self.name = name
        self.question = question
        self.choices = choices
        self.between = between

    def __repr__(self) -> str:
        if self.choices:
            return f"{self.question} [{' / '.join(self.choices)}]"
        return f"{self.question} [{self.between[0]} … {self.between[1]}]"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        from ..widgets.studio.widget import live

        text = repr(self)
        bundle = {"text/plain": text, "text/html": f"<b>Predict first.</b> {html.escape(text)}"}
        # a widget in a notebook that nobody runs would be a dead button: there the text alone stays
        if live():
            bundle |= self.widget()._repr_mimebundle_()
        display(bundle, raw=True)

    def widget(self):
        """Choices or a slider, and a button; what was committed earlier is chosen."""
        import ipywidgets

        from ..widgets.jupyter import hear_all

        kept = progress.read()["guesses"].get(self.name)
        field = self._choice(kept) if self.choices else self._slider(kept)
        button = ipywidgets.Button(description="This is my guess", button_style="primary")
        said = ipywidgets.Label()
        if kept is not None:
            said.value = f"Your guess: {kept}"

        def commit(_):
            if field.value is None:
                said.value = "Choose one first."
            else:
                progress.guess(self.name, field.value)
                said.value = f"Kept: {field.value}. Now look."

        button.on_click(commit)
        # a label would be one line, cut off at the page's edge
        question = html.escape(self.question)
        asked = ipywidgets.HTML(f'<div style="line-height:1.5">Predict first: {question}</div>')
        box = ipywidgets.VBox([asked, field, ipywidgets.HBox([button, said])])
        hear_all(box)
        return box

    def _choice(self, kept: object):
        import ipywidgets

        # nothing is chosen at first, or the first choice would be everybody's guess
        chosen = kept if kept in self.choices else None
        wide = ipywidgets.Layout(width="auto")
        return ipywidgets.RadioButtons(options=list(self.choices), value=chosen, layout=wide)

    def _slider(self, kept: object):
        import ipywidgets

        low, high = self.between
        at = low  # the middle is the answer too often
        # a question may have had other ends when it was answered
        if isinstance(kept, (int, float)) and low <= kept <= high:
            at = kept
        kind = ipywidgets.FloatSlider
        if isinstance(low, int) and isinstance(high, int):
            kind = ipywidgets.IntSlider
        return kind(type(low)(at), min=low, max=high, layout=ipywidgets.Layout(width="24em"))


class Revealed:
    """The guess beside what happened.

    Args:
        guess: As it was committed, None where there is none: a page then folds the answer, for it must not be read before
            the question.
        outcome: What happened, and why.
    """

    def __init__(self, guess: object, outcome: str):
        self.guess = guess
        self.outcome = outcome

    def __repr__(self) -> str:
        return f"{self._said} {self.outcome}"

    @property
    def _said(self) -> str:
        return "You made no guess." if self.guess is None else f"You guessed: {self.guess}."

    def _repr_html_(self) -> str:
        frame = 'style="border-left:4px solid #4575b4;padding:4px 12px"'
        said = html.escape(self._said)
        outcome = html.escape(self.outcome)
        if self.guess is None:
            return f"<details {frame}><summary>{said} What happened?</summary>{outcome}</details>"
        return f"<div {frame}>{said} {outcome}</div>"


def predict(
    name: str,
    question: str,
    choices: Sequence[str] | None = None,
    between: tuple[float, float] | None = None,
) -> Question:
    """Asks before an experiment, with one of `choices` or a number `between` two ends; as the last line of a cell.

    Args:
        name: Under which the guess is kept, as in "05.first".
        question: What is asked.
        choices: The answers that can be given; or
        between: the lowest and the highest number; whole ones make a slider of whole numbers.

    Returns:
        The question, which a notebook shows with its choices and a button.

    Raises:
        ValueError: Where neither choices nor ends are given, or both.

    Example:
        >>> from mtlnas_lab import predict
        >>> predict("05.first", "Which edges close first?", ["deep ones", "shallow ones"])
        Which edges close first? [deep ones / shallow ones]
        >>> predict("05.share", "How many of 48 edges stay?", between=(0, 48))
        How many of 48 edges stay? [0 … 48]
    """
    if (choices is None) == (between is None):
        raise ValueError("give either choices or between=(low, high)")
    return Question(name, question, choices, between)


def reveal(name: str, outcome: object, because: str = "") -> Revealed:
    """Shows the committed guess beside what really happened, and why.

    Args:
        name: The name under which `predict` asked.
        outcome: What the experiment says.
        because: Why, in a sentence.

    Returns:
        A text, which a notebook shows in a frame; folded, where no guess was made.

    Example:
        >>> from mtlnas_lab import reveal
        >>> reveal("never.asked", 24, "Chance alone gives half of them.")
        You made no guess. It is: 24. Chance alone gives half of them.
    """
    kept = progress.read()["guesses"].get(name)
    return Revealed(kept, f"It is: {outcome}. {because}".strip())
