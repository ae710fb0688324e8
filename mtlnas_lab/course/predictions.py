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
        self.name, self.question, self.choices, self.between = name, question, choices, between

    def _ipython_display_(self) -> None:
        from IPython.display import display

        from ..widgets.studio.widget import live

        text = f"{self.question} [{' / '.join(self.choices) if self.choices else f'{self.between[0]} … {self.between[1]}'}]"
        bundle = {"text/plain": text, "text/html": f"<b>Predict first.</b> {html.escape(text)}"}
        if live():
            bundle |= self.widget()._repr_mimebundle_()
        display(bundle, raw=True)

    def widget(self):
        """Choices or a slider, and a button; what was committed earlier is chosen."""
        import ipywidgets

        from ..widgets.jupyter import hear_all

        kept = progress.read()["guesses"].get(self.name)
        wide = ipywidgets.Layout(width="auto")
        if self.choices:
            field = ipywidgets.RadioButtons(
                options=list(self.choices),
                value=kept if kept in self.choices else None,
                layout=wide,
            )
        else:
            low, high = self.between
            inside = (
                kept if isinstance(kept, (int, float)) and low <= kept <= high else (low + high) / 2
            )
            slider = (
                ipywidgets.IntSlider
                if all(isinstance(end, int) for end in self.between)
                else ipywidgets.FloatSlider
            )
            field = slider(
                type(low)(inside), min=low, max=high, layout=ipywidgets.Layout(width="24em")
            )
        button = ipywidgets.Button(description="This is my guess", button_style="primary")
        said = ipywidgets.Label(f"Your guess: {kept}" if kept is not None else "")

        def commit(_):
            if field.value is None:
                said.value = "Choose one first."
            else:
                progress.guess(self.name, field.value)
                said.value = f"Kept: {field.value}. Now look."

        button.on_click(commit)
        asked = ipywidgets.Label(f"Predict first: {self.question}")
        box = ipywidgets.VBox([asked, field, ipywidgets.HBox([button, said])])
        hear_all(box)
        return box


class Revealed:
    """The guess beside what happened."""

    def __init__(self, text: str):
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f'<div style="border-left:4px solid #4575b4;padding:4px 12px">{html.escape(self.text)}</div>'


def predict(
    name: str,
    question: str,
    choices: Sequence[str] | None = None,
    between: tuple[float, float] | None = None,
) -> Question:
    """Asks before an experiment: one of `choices`, or a number `between` two ends. As the last line of a cell."""
    if (choices is None) == (between is None):
        raise ValueError("give either choices or between=(low, high)")
    return Question(name, question, choices, between)


def reveal(name: str, outcome: object, because: str = "") -> Revealed:
    """The committed guess beside what really happened, and why."""
    kept = progress.read()["guesses"].get(name)
    guessed = "You made no guess" if kept is None else f"You guessed: {kept}"
    return Revealed(f"{guessed}. It is: {outcome}. {because}".strip())
