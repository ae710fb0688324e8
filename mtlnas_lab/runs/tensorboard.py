"""A search in TensorBoard: an optional listener (extra `tensorboard`)."""

from __future__ import annotations

from pathlib import Path

from ..core.events import Evaluated, Event, Step, Turned
from ..errors import ConfigError


class TensorBoardLogger:
    """Writes losses, entropy, knobs, gates and scores into `folder` as events come: TensorBoardLogger(folder)(name, search, event)."""

    def __init__(self, folder: str | Path, every: int = 10):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ConfigError(
                "TensorBoard is not installed; it needs the extra `tensorboard`: pip install mtlnas-lab[tensorboard]"
            ) from None
        self.folder, self.every, self.writers, self._make = Path(folder), every, {}, SummaryWriter

    def __call__(self, name: str, search, event: Event) -> None:
        """Called with what is being done, by which search, and what happened."""
        writer = self.writers.get(name) or self.writers.setdefault(
            name, self._make(str(self.folder / name))
        )
        if isinstance(event, Step) and (event.step % self.every == 0 or event.step == 1):
            for task, value in event.loss.items():
                writer.add_scalar(f"loss/{task}", value, event.step)
            for knob in ("entropy_fraction", "entropy_weight", "temperature", "alpha_lr"):
                writer.add_scalar(f"search/{knob}", getattr(event, knob), event.step)
            if event.alpha:
                import torch

                writer.add_histogram(
                    "search/gates", torch.sigmoid(torch.tensor(event.alpha)), event.step
                )
        elif isinstance(event, Evaluated):
            for kind, tasks in event.scores.items():
                for task, metrics in tasks.items():
                    for metric, value in metrics.items():
                        writer.add_scalar(f"{task} {metric}/{kind}", value, event.step)
        elif isinstance(event, Turned):
            writer.add_text("turned", str(dict(event.knobs)), event.step)

    def close(self) -> None:
        for writer in self.writers.values():
            writer.close()
