"""What a terminal shows of a search: its progress, Ctrl-C, a table of scores."""

from __future__ import annotations

import signal
import unicodedata

from .events import Step

OBEYED = (
    "Cc",
    "Cf",
    "Cs",
    "Zl",
    "Zp",
)  # kinds of characters that a terminal acts on, or cannot show


def printable(text: object) -> str:
    """The text on one line; what a terminal would obey (colours, titles, new lines, directions) is shown as \\x1b, \\n, \\u202e."""
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in OBEYED else c
        for c in str(text)
    )


def table(scores: dict) -> str:
    """Scores as text: a line for each metric, a column for each network; an arrow says which way is better."""
    from .tasks import HIGHER_IS_BETTER

    rows = [["", *scores]]
    for task, values in next(iter(scores.values())).items():
        for metric in values:
            rows.append(
                [
                    f"{task} {metric} {'↑' if HIGHER_IS_BETTER.get(metric, True) else '↓'}",
                    *(
                        f"{by_task.get(task, {}).get(metric, float('nan')):.3f}"
                        for by_task in scores.values()
                    ),
                ]
            )
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:])),
            ]
        )
        for row in rows
    )


class interruptible:
    """Ctrl-C once: stop after this step. Twice: at once."""

    def __enter__(self) -> list:
        self.hits: list[int] = []

        def hit(*_):
            if self.hits:
                raise KeyboardInterrupt
            self.hits.append(1)

        self.before = signal.signal(signal.SIGINT, hit)
        return self.hits

    def __exit__(self, *_):
        signal.signal(signal.SIGINT, self.before)


class Progress:
    """A bar for each piece of work: losses, entropy, edges kept, time left."""

    def __init__(self, stopped: list, silent: bool = False):
        self.stopped, self.silent, self.bar, self.name = stopped, silent, None, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.bar is not None:
            self.bar.close()

    def __call__(self, name, search, event) -> None:
        from tqdm import tqdm

        if name != self.name:
            self.__exit__()
            self.name, self.bar = (
                name,
                tqdm(
                    desc=name,
                    total=search.config.steps,
                    initial=max(0, search.step_number - 1),
                    unit="step",
                    mininterval=0.5,
                    dynamic_ncols=True,
                    disable=self.silent,
                ),
            )
        if isinstance(event, Step):
            shown = {task: f"{value:.3f}" for task, value in event.loss.items()}
            if search.fixed_gates is None:
                shown |= {
                    "entropy": f"{event.entropy_fraction:.2f}",
                    "edges": sum(a > 0 for a in event.alpha),
                }
            self.bar.set_postfix(shown, refresh=False)
            self.bar.update(event.step - self.bar.n)
        if self.stopped:
            raise KeyboardInterrupt

    def through(self, name: str, items, unit: str):
        """`items`, one after the other, under a bar of their own; Ctrl-C ends it between two."""
        from tqdm import tqdm

        for item in tqdm(items, desc=name, unit=unit, mininterval=0.5, dynamic_ncols=True):
            yield item
            if self.stopped:
                raise KeyboardInterrupt
