"""The single-shot search: an iterator of events.

    for event in Search(lab, SearchConfig(steps=500)):
        ...                                      # break when you like; iterate again to go on

Each step moves α on one half of the data (which edges?) and w on the other (how to use them?), first order, α first.
With `gates` the same loop trains w under gates that stay as they are: single-task pretraining (a space without edges)
and the baselines.
"""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace

import torch
from torch import Tensor

from ..data import loader
from ..errors import ConfigError, RunError
from ..storage.checkpoints import misfit
from ..storage.jsonl import from_jsonable
from ..values import told, whole
from .architecture import Architecture
from .backbone import Dropout
from .communicator import SINGLE_PROCESS, SingleProcess
from .config import KNOBS, SearchConfig, turned, versions
from .events import Evaluated, Event, Failed, Finished, Started, Step, Turned
from .lab import Lab
from .randomness import drawn_by, fits, may_draw
from .relaxation import entropy, entropy_gradient, l1, l1_gradient, relaxation
from .schedule import Schedule

__all__ = ["KNOBS", "Search"]


class Search:
    """Searches in `lab` (its supernet and α change). Iterating yields events; `turn` changes knobs between steps.

    weight_batches, alpha_batches: endless iterators of (image, {task: target}); by default the two halves of the lab's
    training pack. gates: E booleans; then nothing is searched and w alone is trained under them, on all the data.
    evaluate: called with the search every `evaluate_every` steps; what it returns becomes the scores of an event.
    communicator: the processes that search as one (scale.FabricCommunicator); each works on its part of every batch.
    """

    def __init__(
        self,
        lab: Lab,
        config: SearchConfig = SearchConfig(),
        weight_batches: Iterator | None = None,
        alpha_batches: Iterator | None = None,
        gates: Sequence[bool] | None = None,
        evaluate: Callable[[Search], dict] | None = None,
        communicator: SingleProcess = SINGLE_PROCESS,
    ):
        if gates is not None and len(gates) != len(lab.space):
            raise ConfigError(
                f"{len(gates)} gates for {len(lab.space)} candidate edges; give one for each edge"
            )
        self.lab, self.config, self.evaluate, self.communicator, self.step_number = (
            lab,
            config,
            evaluate,
            communicator,
            0,
        )
        self.fixed_gates = tuple(gates) if gates is not None else None if len(lab.space) else ()
        if weight_batches is None:
            weight_batches, alpha_batches = self._batches()
        self.weight_batches, self.alpha_batches = (
            b and communicator.shard(b) for b in (weight_batches, alpha_batches)
        )
        self.knobs: dict = {}  # what has been turned so far, merged
        self._turned, self._lock = [], threading.Lock()
        self.lull = (
            threading.Event()
        )  # set where a step leaves the interpreter to others for a while
        self.generator = torch.Generator().manual_seed(
            config.seed
        )  # draws gates; on the CPU for every device
        self.noise = torch.Generator(lab.device).manual_seed(config.seed + 1)
        for module in lab.supernet.modules():
            if isinstance(module, Dropout):
                module.generator = self.noise
        self.weight_optimizer = self._weight_optimizer()
        fused = lab.device.type in ("cpu", "cuda")
        self.alpha_optimizer = torch.optim.Adam(
            [lab.alphas.alpha],
            config.alpha_lr,
            config.alpha_betas,
            weight_decay=config.alpha_weight_decay,
            fused=fused,
        )
        self.forward = (
            torch.compile(lab.supernet, backend=config.compile) if config.compile else lab.supernet
        )
        self.costs = lab.alphas.alpha.new_tensor(lab.space.costs) if config.l1_by_cost else 1.0
        self.between_steps = True  # α and w are of one step, and may be kept
        self._may_draw, self._passes = may_draw(lab.supernet), (0, 0)
        self.objective: Tensor | None = None  # of the last α-update, for those who compare

    # --- one step -----------------------------------------------------------------------------------------------------
    def step(self) -> Step:
        """One α-update on one half of the data, one w-update on the other."""
        start, alpha, grad = time.perf_counter(), self.lab.alphas.alpha, None
        self.between_steps = False
        entropy_weight, l1_weight = self.current("entropy_weight"), self.current("l1_weight")
        self.lab.supernet.train()
        if self.fixed_gates is None and self.step_number >= self.config.warm_up:
            image, targets = next(self.alpha_batches)  # which edges?  (w is only read)
            losses = self._losses(image, targets, self._gates("alpha_gates"))
            objective = (
                self._total(losses)
                + entropy_weight * entropy(alpha)
                + l1_weight * l1(alpha, self.costs)
            )
            self.lull.set()
            (alpha.grad,) = torch.autograd.grad(objective, [alpha])
            self.communicator.all_reduce_mean([alpha.grad])
            grad = (
                alpha.grad
                - entropy_weight * entropy_gradient(alpha.detach())
                - l1_weight * l1_gradient(alpha.detach(), self.costs)
            )  # what the tasks alone ask for
            self.objective = objective.detach()
            for group in self.alpha_optimizer.param_groups:
                group["lr"] = self.current("alpha_lr")
            self.alpha_optimizer.step()
        image, targets = next(self.weight_batches)  # how to use them?  (α is only read)
        self.weight_optimizer.zero_grad()
        losses = self._losses(image, targets, self._weight_gates())
        total = self._total(losses)
        self.lull.set()
        total.backward()
        self._average_gradients()
        falling = (1 - self.step_number / self.config.steps) ** self.config.lr_power
        for group in self.weight_optimizer.param_groups:
            group["lr"] = self.current("weight_lr") * group["factor"] * falling
        self.weight_optimizer.step()
        labelled = self.lab.labelled(targets)
        report = self._report(losses, labelled, grad, entropy_weight, l1_weight, start)
        self.step_number += 1
        self.between_steps = True
        return report

    def _gates(self, update: str) -> Tensor:
        """Gates for one update: α through the update's relaxation, forced edges as they are forced."""
        gates = relaxation(self.current(update))(
            self.lab.alphas.alpha, self.current("temperature"), self.generator
        )
        if self.forced:
            index = torch.tensor(list(self.forced), device=gates.device)
            gates = gates.index_copy(
                0, index, gates.new_tensor([float(value) for value in self.forced.values()])
            )
        return gates

    def _weight_gates(self):
        if self.fixed_gates is None and self.step_number < self.config.warm_up:
            return tuple(self.forced.get(i, True) for i in range(len(self.lab.space)))
        return (
            self._gates("weight_gates").detach() if self.fixed_gates is None else self.fixed_gates
        )

    def _losses(self, image: Tensor, targets: Mapping[str, Tensor], gates) -> dict[str, Tensor]:
        with torch.autocast(
            image.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"
        ):
            outputs = self._outputs(image, gates)
        if self.config.precision == "bf16":
            outputs = {task: output.float() for task, output in outputs.items()}
        return self.lab.loss(outputs, targets)

    def _outputs(self, image: Tensor, gates) -> dict[str, Tensor]:
        """A pass of the networks. What they draw from global generators follows from the seed, the step and the pass."""
        if not self._may_draw:
            return self.forward(image, gates)
        step, count = self._passes
        count = count + 1 if step == self.step_number else 1
        self._passes = (self.step_number, count)
        with drawn_by(self.lab.device, self.config.seed, self.step_number, count):
            return self.forward(image, gates)

    def _total(self, losses: Mapping[str, Tensor]) -> Tensor:
        return sum(self.lab.tasks[name].weight * loss for name, loss in losses.items())

    def _average_gradients(self) -> None:
        """Over the processes, and batch-norm statistics with them."""
        if self.communicator.world_size > 1:
            network = self.lab.supernet
            self.communicator.all_reduce_mean(
                [p.grad for p in network.parameters() if p.grad is not None]
                + [b for b in network.buffers() if b.is_floating_point()]
            )

    def _report(self, losses, labelled, grad, entropy_weight, l1_weight, start) -> Step:
        """One transfer from the device for all the numbers of a step. A task without a label here is left out: its loss
        is 0, which is nothing that it has learnt. Over processes the mean is that of those which have a label."""
        alpha, edges = self.lab.alphas.alpha.detach(), len(self.lab.space)
        grad = torch.zeros_like(alpha) if grad is None else grad
        shares = [labelled[task].to(alpha.dtype) for task in losses]
        means = [loss.detach().to(alpha.dtype) for loss in losses.values()]
        rest = torch.stack([entropy(alpha), *shares, *means])
        self.communicator.all_reduce_mean([rest])
        numbers = torch.cat([alpha, grad, rest]).tolist()
        if alpha.dtype == torch.float32:  # what float32 knows; a log is read and kept as text
            numbers = [
                float(f"{x:.9g}" if i < edges else f"{x:.7g}") for i, x in enumerate(numbers)
            ]
        nats, first = numbers[2 * edges], 2 * edges + 1
        shares, means = numbers[first : first + len(losses)], numbers[first + len(losses) :]
        told = {
            task: mean if share == 1 else mean / share
            for task, share, mean in zip(losses, shares, means)
            if share > 0
        }
        return Step(
            step=self.step_number + 1,
            alpha=tuple(numbers[:edges]),
            alpha_grad=tuple(numbers[edges : 2 * edges]),
            loss=told,
            entropy=nats,
            entropy_fraction=nats / math.log(2),
            entropy_weight=entropy_weight,
            l1_weight=l1_weight,
            temperature=self.current("temperature"),
            alpha_lr=self.current("alpha_lr"),
            seconds=time.perf_counter() - start,
        )

    # --- the whole search ---------------------------------------------------------------------------------------------
    def __iter__(self) -> Iterator[Event]:
        """Started (at step 0), then for every step: Turned (if anything was), Step, Evaluated (if due); Finished.

        A loss that is no number ends the iteration with Failed; the weights are then spoilt: go back to a checkpoint.
        """
        begin = time.perf_counter()
        if self.step_number == 0:
            yield Started(
                config=self.config.to_json(),
                space=self.lab.space.to_json(),
                versions=versions(),
                device=str(self.lab.device),
                threads=torch.get_num_threads(),
            )
        while self.step_number < self.config.steps:
            for knobs in self._apply_turned():
                yield Turned(step=self.step_number + 1, knobs=knobs)
            event = self.attempt()
            for task, value in event.loss.items():
                if not math.isfinite(value):
                    yield Failed(
                        step=event.step,
                        task=task,
                        checkpoint=None,
                        message=(
                            f"the loss of {task} is {value} at step {event.step}; go on from the last checkpoint with a "
                            f"smaller learning rate, --resume --weight-lr {self.current('weight_lr') / 3:.1g}"
                        ),
                    )
                    return
            yield event
            if self.evaluates_now():
                yield self.score_now()
        yield Finished(step=self.step_number, seconds=time.perf_counter() - begin)

    def attempt(self) -> Step:
        """A step. Raises ConfigError where the device has too little memory; what is here is then spoilt, a folder is not."""
        try:
            return self.step()
        except torch.OutOfMemoryError:
            fits = self.config.batch_size  # the step's tensors are gone only behind this
        while (
            fits := fits // 2
        ) and self.communicator.world_size == 1:  # for several processes it is a guess
            with suppress(RuntimeError, ValueError):  # too little memory; one image and batch norm
                self.weight_optimizer.zero_grad()
                image, targets = next(self.weight_batches)
                targets = {task: target[:fits] for task, target in targets.items()}
                self._total(self._losses(image[:fits], targets, self._weight_gates())).backward()
                break
        raise ConfigError(
            f"{self.lab.device} has too little memory for a step with batches of {self.config.batch_size} images; "
            + (
                f"{fits} would fit: --batch-size {fits} and another --out"
                if fits
                else "1 is too much, too: give smaller images, or --device cpu"
            )
            + "; or free its memory, and go on with --resume"
        )

    def evaluates_now(self) -> bool:
        """Whether an evaluation belongs behind the step just done."""
        every = self.config.evaluate_every
        return bool(self.evaluate and every and self.step_number and self.step_number % every == 0)

    def score_now(self) -> Evaluated:
        """What the search would be worth at this moment. Raises ConfigError where it was given no `evaluate`."""
        if self.evaluate is None:
            raise ConfigError(
                "this search has nothing to be scored with; make it with Search(…, evaluate=experiment.scores_now)"
            )
        return Evaluated(step=self.step_number, scores=self.evaluate(self))

    def architecture(self) -> Architecture:
        """What the search has found so far: α > 0, forced edges as they are forced."""
        if self.fixed_gates is not None:
            return Architecture(self.lab.space, self.fixed_gates)
        found = self.lab.derive()
        return replace(
            found, kept=tuple(self.forced.get(i, keep) for i, keep in enumerate(found.kept))
        )

    # --- knobs --------------------------------------------------------------------------------------------------------
    def turn(self, /, **knobs) -> None:
        """Change knobs from the next step on; safe from any thread. Raises ConfigError, and then changes nothing.

        entropy_weight, l1_weight, temperature: number or Schedule · alpha_lr, weight_lr: number · alpha_gates,
        weight_gates: name of a relaxation · force: {edge: True | False | None}, None sets the edge free again.
        """
        checked = turned(knobs, self.lab.space)
        asked = copy.deepcopy(_plain(knobs)), checked
        with self._lock:
            self._turned.append(asked)

    def current(self, knob: str):
        """The value of a knob for the step that comes next."""
        value = self.knobs.get(knob, getattr(self.config, knob))
        return value(self.step_number, self.config.steps) if isinstance(value, Schedule) else value

    @property
    def forced(self) -> dict[int, bool]:
        """Edges that are forced, by their index: open (True) or shut (False)."""
        return self.knobs.get("force", {})

    def _apply_turned(self) -> list[dict]:
        with self._lock:
            asked, self._turned = self._turned, []
        asked = self.communicator.broadcast(asked)
        for _, checked in asked:
            if "force" in checked:
                forced = {**self.forced, **checked["force"]}
                checked["force"] = {i: to for i, to in forced.items() if to is not None}
            self.knobs.update(checked)
        return [plain for plain, _ in asked]

    # --- parts --------------------------------------------------------------------------------------------------------
    def _batches(self) -> tuple[Iterator, Iterator | None]:
        if "train" not in self.lab.data:
            raise ConfigError(
                "this lab has no training data; give weight_batches and alpha_batches, or data={'train': pack}"
            )
        config, pack, tasks = self.config, self.lab.data["train"], tuple(self.lab.tasks)
        if self.fixed_gates is not None:
            return loader.whole(
                pack, tasks, config.batch_size, config.seed, augment=config.augment
            ), None
        return loader.split(
            pack,
            tasks,
            config.batch_size,
            config.seed,
            fraction=config.weight_share,
            redraw=config.redraw,
            augment=config.augment,
        )

    def _weight_optimizer(self) -> torch.optim.Optimizer:
        config = self.config
        groups = [
            {"params": parameters, "factor": getattr(config, f"{name}_lr_factor", 1.0)}
            for name, parameters in self.lab.supernet.parameter_groups().items()
            if parameters
        ]
        fused = self.lab.device.type in ("cpu", "cuda")
        if config.optimizer == "sgd":
            return torch.optim.SGD(
                groups,
                config.weight_lr,
                config.momentum,
                weight_decay=config.weight_decay,
                fused=fused,
            )
        return torch.optim.Adam(
            groups, config.weight_lr, weight_decay=config.weight_decay, fused=fused
        )

    # --- stop and go on -----------------------------------------------------------------------------------------------
    def state(self) -> tuple[dict[str, Tensor], dict]:
        """Everything a resumed search needs: tensors by name, and plain JSON."""
        tensors = {
            f"supernet.{name}": value for name, value in self.lab.supernet.state_dict().items()
        }
        tensors |= {
            "alpha": self.lab.alphas.alpha.detach(),
            "generator": self.generator.get_state(),
            "noise": self.noise.get_state(),
        }
        for name in ("weight_optimizer", "alpha_optimizer"):
            for i, entries in getattr(self, name).state_dict()["state"].items():
                tensors |= {
                    f"{name}.{i}.{key}": value
                    for key, value in entries.items()
                    if value is not None
                }
        knobs = _plain(self.knobs) | (
            {"force": {str(self.lab.space.edges[i]): to for i, to in self.forced.items()}}
            if self.forced
            else {}
        )
        return tensors, {
            "step": self.step_number,
            "knobs": knobs,
            "threads": torch.get_num_threads(),
            "positions": [
                getattr(b, "position", None) for b in (self.weight_batches, self.alpha_batches)
            ],
        }

    def load_state(self, tensors: Mapping[str, Tensor], meta: Mapping) -> list[str]:
        """Go back to a `state`. Returns notices: what could not be taken over as it was.

        Raises RunError for the state of another space or network, and for one that is none; then nothing changes.
        """
        step, knobs, positions, state, renewed, moments = self._fitting(tensors, meta)
        self._go_to(positions)  # the only part that others wrote, and which may refuse
        self.lab.supernet.load_state_dict(
            {n.removeprefix("supernet."): t for n, t in state.items() if n.startswith("supernet.")}
        )
        with torch.no_grad():
            self.lab.alphas.alpha.copy_(tensors["alpha"])
        self.generator.set_state(tensors["generator"].cpu())
        if renewed:
            self.noise.manual_seed((self.config.seed + 1 + step) % 2**64)
        else:
            self.noise.set_state(tensors["noise"].cpu())
        for name, entries in moments.items():
            optimizer = getattr(self, name)
            optimizer.load_state_dict(optimizer.state_dict() | {"state": entries})
        self.step_number, self.knobs, self._turned, self._passes = step, knobs, [], (step, 0)
        self.between_steps = True
        return renewed

    def refusal(self, tensors: Mapping[str, Tensor], meta: Mapping) -> str:
        """Why this is not a state that the search can go back to; "" where it is. Changes nothing."""
        try:
            step, _, positions, *_ = self._fitting(tensors, meta)
            self._check_positions(positions)
            read = meta.get("requests_read", 0)
            if type(read) is not int or not 0 <= read < 2**53:
                return f"requests_read = {told(read)} is not a number of bytes"
        except RunError as error:
            return str(error)
        return ""

    def _fitting(self, tensors: Mapping[str, Tensor], meta: Mapping) -> tuple:
        """(step, knobs, positions, tensors of the networks, notices, moments) of a state. Raises RunError."""
        step, knobs, positions = self._meta(meta)
        state, others = {}, {}
        for name, value in tensors.items():
            optimizer = name.startswith(("weight_optimizer.", "alpha_optimizer."))
            (others if optimizer or name in ("generator", "noise") else state)[name] = value
        if problem := misfit(state, self._model()):
            raise RunError(
                f"this checkpoint is of another network than {self.lab.space!r} ({problem}); "
                "resume with the settings it was made with"
            )
        renewed = self._generators_fit(others)
        moments = {
            name: _moments(name, getattr(self, name), others)
            for name in ("weight_optimizer", "alpha_optimizer")
        }
        if others:
            raise RunError(f"this checkpoint has a tensor {told(min(others))}, which no search has")
        return step, knobs, positions, state, renewed, moments

    def _model(self) -> dict[str, Tensor]:
        """The tensors of a state that are of the networks and of α."""
        weights = self.lab.supernet.state_dict()
        return {"alpha": self.lab.alphas.alpha.detach()} | {
            f"supernet.{name}": value for name, value in weights.items()
        }

    def _meta(self, meta: Mapping) -> tuple[int, dict, list]:
        """(step, knobs, positions) of a state, checked. Raises RunError."""
        try:
            step, knobs, positions = (meta[name] for name in ("step", "knobs", "positions"))
            if type(step) is not int:
                raise ConfigError(f"step = {told(step)} is not an integer")
            whole("step", step, most=self.config.steps)
            if not isinstance(knobs, Mapping):
                raise ConfigError(f"knobs = {told(knobs)} are not {{name: value}}")
            knobs = turned(from_jsonable(dict(knobs)), self.lab.space)
            if not isinstance(positions, list | tuple) or len(positions) != 2:
                raise ConfigError(f"positions = {told(positions)} are not two")
        except (KeyError, TypeError, ConfigError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else error
            raise RunError(
                f"this checkpoint is not of a search of {self.config.steps} steps: {what}"
            ) from None
        if "force" in knobs:
            knobs["force"] = {i: to for i, to in knobs["force"].items() if to is not None}
        return step, knobs, list(positions)

    def _generators_fit(self, others: dict[str, Tensor]) -> list[str]:
        """Takes the generators' states out of `others`; notices where the noise has to begin anew. Raises RunError."""
        for name in ("generator", "noise"):
            if name not in others:
                raise RunError(f"this checkpoint has no tensor {name!r}, which every search has")
        generator, noise = others.pop("generator"), others.pop("noise")
        if not fits(self.generator, generator):
            raise RunError("the generator in this checkpoint is not the state of one")
        if fits(self.noise, noise):
            return []
        own = self.noise.get_state()
        if noise.dtype != own.dtype or noise.ndim != 1 or noise.shape == own.shape:
            raise RunError("the noise in this checkpoint is not the state of a generator")
        return [
            f"this checkpoint was made on another kind of device than {self.lab.device}: dropout begins anew, "
            "from the seed and the step, so the steps that follow are not those the other device would have done"
        ]

    def _check_positions(self, positions: Sequence) -> None:
        """Raises RunError for what cannot be a position of these batches."""
        for batches, position in zip((self.weight_batches, self.alpha_batches), positions):
            at = getattr(batches, "position", None)
            wrong = type(position) is not type(at) or (
                type(at) is int and not 0 <= position < 2**53
            )
            if position is not None and wrong:
                raise RunError(
                    f"this checkpoint's position in the batches is {told(position)}; "
                    f"these batches are at {told(at)}"
                )

    def _go_to(self, positions: Sequence) -> None:
        """Take the batches to these positions. Raises RunError, and then leaves them where they are."""
        self._check_positions(positions)
        before = []
        for batches, position in zip((self.weight_batches, self.alpha_batches), positions):
            if position is None:
                continue
            before.append((batches, batches.position))
            try:
                batches.position = position
            except Exception as error:
                for moved, at in before[:-1]:
                    moved.position = at
                raise RunError(
                    f"the batches do not go to position {told(position)}: {told(str(error))}"
                ) from None


def _moments(
    name: str, optimizer: torch.optim.Optimizer, others: dict[str, Tensor]
) -> dict[int, dict[str, Tensor]]:
    """Takes what is an optimizer's out of `others`: {parameter: entries}, each like its parameter. Raises RunError.

    A parameter has all of its entries or none, as before its first update.
    """
    if isinstance(optimizer, torch.optim.SGD):
        entries = ("momentum_buffer",)
    else:
        entries = ("exp_avg", "exp_avg_sq", "step")
    state = {}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for i, parameter in enumerate(parameters):
        found = {entry: others.pop(f"{name}.{i}.{entry}", None) for entry in entries}
        if all(value is None for value in found.values()):
            continue
        for entry, value in found.items():
            problem = _wrong(entry, value, parameter)
            if problem:
                raise RunError(f"this checkpoint does not fit: {name}.{i}.{entry} {problem}")
        state[i] = {
            entry: value.clone()
            if entry == "step"
            else torch.empty_like(parameter, requires_grad=False).copy_(value)  # in its layout
            for entry, value in found.items()
        }
    if state and isinstance(optimizer, torch.optim.SGD):  # which needs all or none; 0 is as none
        for i, parameter in enumerate(parameters):
            state.setdefault(i, {"momentum_buffer": torch.zeros_like(parameter.detach())})
    return state


def _wrong(entry: str, value: Tensor | None, parameter: Tensor) -> str:
    """What is wrong with an entry of an optimizer's state; "" where it fits its parameter."""
    if value is None:
        return "is missing"
    if entry == "step":
        if value.shape != () or value.dtype not in (torch.float32, torch.float64):
            return f"is {tuple(value.shape)} of {value.dtype} instead of one count"
        count = float(value)
        fine = math.isfinite(count) and count >= 0 and count == int(count)
        return "" if fine else f"counts {count} updates"
    if value.shape != parameter.shape or value.dtype != parameter.dtype:
        return (
            f"is {tuple(value.shape)} of {value.dtype} instead of {tuple(parameter.shape)} "
            f"of {parameter.dtype}"
        )
    return ""


def _plain(knobs: Mapping) -> dict:
    """Knobs as JSON: schedules as dictionaries, edges as text."""
    plain = {
        name: asdict(value) if isinstance(value, Schedule) else value
        for name, value in knobs.items()
    }
    if "force" in plain:
        plain["force"] = {str(edge): to for edge, to in plain["force"].items()}
    return plain
