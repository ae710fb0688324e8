"""The single-shot search: an iterator of events.

    for event in Search(lab, SearchConfig(steps=500)):
        ...                                      # break when you like; iterate again to go on

Each step moves α on one half of the data (which edges?) and w on the other (how to use them?), first order, α first.
With `gates` the same loop trains w under gates that stay as they are: single-task pretraining (a space without edges)
and the baselines.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..data import loader
from ..data.dataset import Batch
from ..data.views import Inputs
from ..errors import ConfigError
from ..randomness import SeededPasses
from ..values import number
from . import search_state
from .architecture import Architecture
from .backbone import Dropout
from .closing import Closing
from .communicator import SINGLE_PROCESS, SingleProcess
from .config import SearchConfig, versions
from .controls import Controls, must_be_tasks, must_have_edges
from .events import Evaluated, Event, Failed, Finished, Started, Step, Turned
from .lab import Lab
from .relaxation import l1, l1_gradient
from .space import SearchSpace
from .supernet import Gates

REPORTED = ("entropy_weight", "l1_weight", "temperature", "alpha_lr")  # knobs in every Step


class Search:
    """Searches in `lab`: its supernet and its α change. Iterating yields events; `turn` changes knobs between steps.

    One step minimises the tasks' weighted losses L twice, by two optimisers on two halves of the images:

        α:  L(w, z(α)) + λ·mean f·H(σ(α)) + μ·mean c·σ(α)        w:  L(w, z(α)), with α read only

    Args:
        lab: tasks, supernet, α and data; with E candidate edges.
        config: every setting.
        weight_batches, alpha_batches: endless iterators of (image (B, 3, H, W), {task: target}); by default the two
            halves of the lab's training data.
        gates: E booleans. Nothing is then searched: w alone is trained under these gates, on all the data.
        evaluate: called with the search every `config.evaluate_every` steps; what it returns becomes the scores of an
            event.
        communicator: the processes that search as one; each works on its part of every batch.
        draw_gates: called with the gates' generator before every w-update: the E booleans of this one. Nothing is searched
            either, as in a supernet whose graphs are sampled.
        entropy_factors: E numbers f, how much each edge's entropy counts in the mean; by default 1 each. 0 leaves an edge out.
        l1_factors: E numbers by which each edge's L1 is multiplied likewise.

    Raises:
        ConfigError: for gates or factors of another length than E, and for a lab without training data where no batches
            are given.

    Example:
        >>> from mtlnas_lab import Search, SearchConfig, presets
        >>> search = Search(presets.tiny(), SearchConfig(steps=2, batch_size=2))
        >>> for event in search:
        ...     print(type(event).__name__)
        Started
        Step
        Step
        Finished
        >>> search.step_number
        2
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
        draw_gates: Callable[[torch.Generator], Sequence[bool]] | None = None,
        entropy_factors: Sequence[float] | None = None,
        l1_factors: Sequence[float] | None = None,
    ):
        self.lab = lab
        self.config = config
        self.evaluate = evaluate
        self.communicator = communicator
        self.step_number = 0  # how many steps are done
        self.between_steps = True  # α and w are of one step, and may be kept
        self.objective: Tensor | None = None  # of the last α-update, for those who compare
        self.fixed_gates = _fixed(gates, len(lab.space))
        self.draw_gates = draw_gates
        self.searches = self.fixed_gates is None and draw_gates is None  # α moves
        self.controls = Controls(config, lab.space)
        self.closing = Closing(config.close_below, len(lab.space))
        must_be_tasks(config.visibility, lab.space.tasks)
        if self.searches:
            must_have_edges(config.edge_budget, lab.space)
        if weight_batches is None:
            weight_batches, alpha_batches = self._halves()
        self.weight_batches = weight_batches
        self.alpha_batches = alpha_batches  # None where nothing is searched: nobody asks for them

        # gates are drawn on the CPU, so that they are the same for every device
        self.generator = torch.Generator().manual_seed(config.seed)
        self.noise = torch.Generator(lab.device).manual_seed(config.seed + 1)
        for module in lab.supernet.modules():
            if isinstance(module, Dropout):
                module.generator = self.noise
        self.passes = SeededPasses(lab.supernet, lab.device, config.seed)

        self.weight_optimizer = self._weight_optimizer()
        self.trained = self._trained()
        self.alpha_optimizer = torch.optim.Adam(
            [lab.alphas.alpha],
            config.alpha_lr,
            config.alpha_betas,
            weight_decay=config.alpha_weight_decay,
            fused=_has_fused(lab.device),
        )
        self.forward = lab.supernet
        if config.compile:
            if isinstance(lab.space, SearchSpace):
                lab.space.work_out()
            self.forward = torch.compile(lab.supernet, backend=config.compile)
        self.cover_eyes()
        self.entropy_factors = self._factors("entropy_factors", entropy_factors)
        # c, what each edge weighs in L1
        self.costs = self._factors("l1_factors", l1_factors)
        if config.l1_by_cost:
            self.costs = lab.alphas.alpha.new_tensor(lab.space.costs) * self.costs

    # --- one step -----------------------------------------------------------------------------------------------------
    def step(self) -> Step:
        """One α-update on one half of the data, then one w-update on the other."""
        started = time.perf_counter()
        self._set_modes()
        self._set_learning_rates()
        self.cover_eyes()

        alpha_gradient = None
        if self.alpha_moves:
            alpha_gradient = self._update_alpha()  # which edges?  w is only read
        losses, labelled = self._update_weights()  # how to use them?  α is only read

        report = self._report(losses, labelled, alpha_gradient, started)
        if self.config.close_below and alpha_gradient is not None:
            self.closing.see(report.alpha, self.forced)
        self.step_number += 1
        self.cover_eyes()  # whoever evaluates now sees what the next step will
        return report

    def cover_eyes(self) -> None:
        """Let each network see as much as it shall at this moment."""
        self.lab.visibility = self.current("visibility")

    @property
    def seen_by_weights(self) -> Iterator[tuple[Inputs, dict[str, Tensor]]]:
        """`weight_batches`, those of this moment, as the networks see them."""
        return self._as_seen(self.weight_batches)

    @property
    def seen_by_alpha(self) -> Iterator[tuple[Inputs, dict[str, Tensor]]]:
        """`alpha_batches`, those of this moment, as the networks see them."""
        return self._as_seen(self.alpha_batches)

    @property
    def alpha_moves(self) -> bool:
        """Whether the next step updates α: not under given gates, and not while w warms up."""
        return self.searches and self.step_number >= self.config.warm_up

    def _update_alpha(self) -> Tensor:
        """Moves α down the losses and the two penalties. Returns what the tasks alone ask for, ∂L/∂α (E,)."""
        alpha = self.lab.alphas.alpha
        entropy_weight = self.current("entropy_weight")
        l1_weight = self.current("l1_weight")
        seen, targets = next(self.seen_by_alpha)
        losses = self._losses(seen, targets, self._gates("alpha_gates"))
        total = self.lab.total(losses)
        undecided = self.lab.alphas.entropy(self.entropy_factors)
        objective = total + entropy_weight * undecided + l1_weight * l1(alpha, self.costs)
        (alpha.grad,) = torch.autograd.grad(objective, [alpha])  # first order: none for w
        self.communicator.all_reduce_mean([alpha.grad])

        before = alpha.detach()
        of_entropy = self.lab.alphas.entropy_gradient(self.entropy_factors)
        of_tasks = alpha.grad - entropy_weight * of_entropy
        of_tasks = of_tasks - l1_weight * l1_gradient(before, self.costs)
        self.objective = objective.detach()
        self.alpha_optimizer.step()
        return of_tasks

    def _update_weights(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Moves w down the losses. Returns {task: loss} and {task: whether the batch has a label for it}."""
        seen, targets = next(self.seen_by_weights)
        self.weight_optimizer.zero_grad()
        losses = self._losses(seen, targets, self._weight_gates())
        self.lab.total(losses).backward(inputs=self.trained)
        self._average_gradients()
        self.weight_optimizer.step()
        return losses, self.lab.labelled(targets)

    def _set_modes(self) -> None:
        """Training mode; frozen stages are in evaluation mode, so that their batch norm keeps its statistics."""
        self.lab.supernet.train()
        if self.config.freeze:
            for stages in self.lab.supernet.all_stages():
                stages.eval()

    def _set_learning_rates(self) -> None:
        """α's as it was turned; w's by its group's factor, and falling as (1 − t/steps)^power (the poly schedule)."""
        for group in self.alpha_optimizer.param_groups:
            group["lr"] = self.current("alpha_lr")
        left = 1 - self.step_number / max(self.config.steps, 1)
        # whoever steps on after the end learns no more
        falling = max(left, 0.0) ** self.config.lr_power
        for group in self.weight_optimizer.param_groups:
            group["lr"] = self.current("weight_lr") * group["factor"] * falling

    def _gates(self, update: str) -> Tensor:
        """Gates (E,) for one update: α through that update's relaxation, forced edges as they are forced."""
        gates = self.lab.alphas.gates(
            self.current(update), self.current("temperature"), self.generator
        )
        if self.forced:
            index = torch.tensor(list(self.forced), device=gates.device)
            values = gates.new_tensor([float(to) for to in self.forced.values()])
            gates = gates.index_copy(0, index, values)  # a new tensor: α learns nothing from it
        return gates

    def _weight_gates(self) -> Gates:
        if self.fixed_gates is not None:
            return self.fixed_gates
        if self.draw_gates is not None:
            return tuple(self.draw_gates(self.generator))
        if self.step_number < self.config.warm_up:
            return tuple(self.forced.get(i, True) for i in range(len(self.lab.space)))
        return self._gates("weight_gates").detach()

    def _as_seen(self, batches: Iterator | None) -> Iterator[tuple[Inputs, dict[str, Tensor]]]:
        """The batches as the networks see them, and of each the part that this process works on.

        Noise is drawn for whole batches: so each process draws the same, and sees other noise than the others.
        """

        def see(batch: Batch) -> tuple[Inputs, dict[str, Tensor]]:
            image, targets = batch
            return self.lab.see(image, targets, self.noise), targets

        if batches is None:
            batches = iter(())
        return self.communicator.shard(map(see, batches))

    def _losses(
        self, seen: Inputs, targets: Mapping[str, Tensor], gates: Gates
    ) -> dict[str, Tensor]:
        """{task: loss} of one forward pass over what the networks see."""
        bf16 = self.config.precision == "bf16"
        with (
            self.passes.of_step(self.step_number),
            torch.autocast(self.lab.device.type, torch.bfloat16, enabled=bf16),
        ):
            outputs = self.forward(seen, gates, **self._known_closed(gates))
        if bf16:  # losses and metrics are computed in float32
            outputs = {task: output.float() for task, output in outputs.items()}
        return self.lab.loss(outputs, targets)

    def _known_closed(self, gates: Gates) -> dict[str, frozenset[int]]:
        """Edges that need not be computed, though the gates are a tensor: those that are forced shut."""
        shut = frozenset(i for i, opened in self.forced.items() if not opened)
        if not shut or not isinstance(gates, Tensor):
            return {}
        return {"closed": shut}

    def _average_gradients(self) -> None:
        """Over the processes, and batch-norm statistics with them."""
        if self.communicator.world_size == 1:
            return
        network = self.lab.supernet
        shared = [p.grad for p in network.parameters() if p.grad is not None]
        shared += [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        self.communicator.all_reduce_mean(shared)

    def _report(
        self,
        losses: Mapping[str, Tensor],
        labelled: Mapping[str, Tensor],
        alpha_gradient: Tensor | None,
        started: float,
    ) -> Step:
        """The event of the step that ends now; `started` as time.perf_counter() has it."""
        alpha = self.lab.alphas.alpha.detach()
        edges = len(alpha)
        if alpha_gradient is None:
            alpha_gradient = torch.zeros_like(alpha)
        shares = [labelled[task].to(alpha.dtype) for task in losses]
        means = [loss.detach().to(alpha.dtype) for loss in losses.values()]
        undecided = self.lab.alphas.entropy().detach()
        means = torch.stack([undecided, *shares, *means])
        self.communicator.all_reduce_mean([means])
        # one transfer for all the numbers of a step: each would make the host wait for the device
        numbers = torch.cat([alpha, alpha_gradient, means]).tolist()
        if alpha.dtype == torch.float32:  # digits beyond what float32 knows would fill the log
            digits = [9] * edges + [7] * (len(numbers) - edges)
            numbers = [float(f"{x:.{count}g}") for x, count in zip(numbers, digits)]
        alphas = tuple(numbers[:edges])
        gradients = tuple(numbers[edges : 2 * edges])
        nats, *means = numbers[2 * edges :]
        knobs = {name: self.current(name) for name in REPORTED}
        return Step(
            step=self.step_number + 1,
            alpha=alphas,
            alpha_grad=gradients,
            loss=_of_labelled(tuple(losses), means),
            entropy=nats,
            entropy_fraction=nats / self.lab.alphas.most,
            **knobs,
            seconds=time.perf_counter() - started,
        )

    # --- the whole search ---------------------------------------------------------------------------------------------
    def __iter__(self) -> Iterator[Event]:
        """Started (at step 0), then for every step: Turned (if anything was), Step, Evaluated (if due); Finished.

        A loss that is not a finite number ends the iteration with Failed. The weights are then spoilt: go back to a
        checkpoint.
        """
        begin = time.perf_counter()
        if self.step_number == 0:
            yield Started(
                config=self.config.to_json(),
                space=self.lab.space.to_json(),
                versions=versions(),
                device=str(self.lab.device),
                threads=torch.get_num_threads(),
                alpha=tuple(self.lab.alphas.alpha.tolist()),
            )
        while self.step_number < self.config.steps:
            self._close_for_good()
            for knobs in self.controls.apply_turned(self.communicator):
                yield Turned(step=self.step_number + 1, knobs=knobs)
            event = self.attempt()
            failed = self._failed(event)
            if failed is not None:
                yield failed
                return
            yield event
            if self.evaluates_now():
                yield self.score_now()
        yield Finished(step=self.step_number, seconds=time.perf_counter() - begin)

    def _close_for_good(self) -> None:
        """Shuts the edges whose gates have stayed low: as if a person forced them, who may also set them free again."""
        due = self.closing.due
        if due:
            self.turn(force={self.lab.space.edges[i]: False for i in due})

    def _failed(self, event: Step) -> Failed | None:
        """The event of a step whose loss is not a finite number; None where all are."""
        for task, value in event.loss.items():
            if math.isfinite(value):
                continue
            message = (
                f"the loss of {task} is {value} at step {event.step}; resume from the last checkpoint with a "
                f"smaller learning rate, weight_lr = {self.current('weight_lr') / 3:.1g}"
            )
            return Failed(step=event.step, task=task, checkpoint=None, message=message)
        return None

    def attempt(self) -> Step:
        """A step. Raises ConfigError where the device has too little memory: what is in memory is then spoilt, what is in
        a run folder is not."""
        self.between_steps = False
        report = None
        # the retry stands behind `except`: inside it the traceback would still hold the step's tensors
        with suppress(torch.OutOfMemoryError):
            report = self.step()
        if report is None:
            raise ConfigError(self._too_little_memory())
        self.between_steps = True
        return report

    def _too_little_memory(self) -> str:
        advice = "1 is too much, too: give smaller images, or the device cpu"
        size = self._size_that_fits()
        if size:
            advice = f"{size} would fit: batch_size = {size} in a new run folder"
        return (
            f"{self.lab.device} has too little memory for a step with batches of {self.config.batch_size} images; "
            f"{advice}; or free its memory, and resume from the last checkpoint"
        )

    def _size_that_fits(self) -> int:
        """A half, a quarter, … of the batch: the first whose w-update fits; 0 where none does."""
        size = self.config.batch_size // 2
        if self.communicator.world_size > 1:  # others would wait for ever for this one's gradients
            return size
        while size:
            # RuntimeError: memory is still too small; ValueError: batch norm refuses a batch of one
            with suppress(RuntimeError, ValueError):
                self.weight_optimizer.zero_grad()
                image, targets = next(self.weight_batches)
                targets = {task: target[:size] for task, target in targets.items()}
                seen = self.lab.see(image[:size], targets, self.noise)
                losses = self._losses(seen, targets, self._weight_gates())
                self.lab.total(losses).backward(inputs=self.trained)
                return size
            size //= 2
        return 0

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
        found = self.lab.derive(self.config.edge_budget)
        kept = tuple(self.forced.get(i, keep) for i, keep in enumerate(found.kept))
        return replace(found, kept=kept)

    # --- knobs --------------------------------------------------------------------------------------------------------
    def turn(self, /, **knobs) -> None:
        """Change knobs from the next step on; safe from any thread. Raises ConfigError, and then changes nothing.

        Args:
            entropy_weight, l1_weight, temperature: a number or a Schedule.
            alpha_lr, weight_lr: a number.
            alpha_gates, weight_gates: the name of a relaxation.
            force: {edge: True | False | None}; None sets the edge free again.
            visibility: {task: a number from 0 to 1, or a Schedule}; 0 blindfolds the task's network. A network that
                sees one image for all tasks has no such knob.
        """
        problem = getattr(self.lab.supernet, "sees_one_image", "")
        if problem and knobs.get("visibility"):
            raise ConfigError(problem)
        self.controls.turn(knobs)

    def current(self, knob: str):
        """The value of a knob for the step that comes next."""
        return self.controls.current(knob, self.step_number)

    @property
    def knobs(self) -> dict:
        """What has been turned so far, merged."""
        return self.controls.knobs

    @property
    def forced(self) -> dict[int, bool]:
        """Edges that are forced, by their index: open (True) or shut (False)."""
        return self.controls.forced

    # --- stop and go on -----------------------------------------------------------------------------------------------
    def state(self) -> tuple[dict[str, Tensor], dict]:
        """Everything a resumed search needs: tensors by name, and plain JSON."""
        return search_state.state_of(self)

    def load_state(self, tensors: Mapping[str, Tensor], meta: Mapping) -> list[str]:
        """Go back to a `state`. Returns notices: what could not be taken over as it was.

        Raises RunError for the state of another space or network, and for what is not a state; then nothing changes.
        """
        return search_state.restore(self, tensors, meta)

    def refusal(self, tensors: Mapping[str, Tensor], meta: Mapping) -> str:
        """Why this is not a state that the search can go back to; "" where it is. Changes nothing."""
        return search_state.refusal(self, tensors, meta)

    # --- parts --------------------------------------------------------------------------------------------------------
    def _factors(self, name: str, factors: Sequence[float] | None) -> Tensor | float:
        """What each edge counts in a penalty, (E,); 1 for all where nothing is given. Raises ConfigError."""
        if factors is None:
            return 1.0
        edges = len(self.lab.space)
        if len(factors) != edges:
            raise ConfigError(
                f"{name}: {len(factors)} numbers for {edges} candidate edges; give one for each edge"
            )
        checked = [number(f"{name}[{i}]", factor) for i, factor in enumerate(factors)]
        return self.lab.alphas.alpha.new_tensor(checked)

    def _halves(self) -> tuple[Iterator, Iterator | None]:
        """Batches for w and for α from the lab's training data; where nothing is searched all of it is for w."""
        if "train" not in self.lab.data:
            raise ConfigError(
                "this lab has no training data; give weight_batches and alpha_batches, or data={'train': pack}"
            )
        config = self.config
        pack = self.lab.data["train"]
        tasks = self.lab.targets
        if not self.searches:
            whole = loader.whole(
                pack, tasks, config.batch_size, config.seed, augment=config.augment
            )
            return whole, None
        return loader.split(
            pack,
            tasks,
            config.batch_size,
            config.seed,
            fraction=config.weight_share,
            redraw=config.redraw,
            augment=config.augment,
        )

    def _frozen(self) -> set[int]:
        """The ids of the weights that do not learn."""
        if not self.config.freeze:
            return set()
        stages = self.lab.supernet.all_stages()
        return {id(parameter) for part in stages for parameter in part.parameters()}

    def _trained(self) -> list[nn.Parameter] | None:
        """The weights to compute gradients for; None: all of them. A frozen stage needs no gradient, and costs none."""
        if not self.config.freeze:
            return None
        moved = [p for group in self.weight_optimizer.param_groups for p in group["params"]]
        return [p for p in moved if p.requires_grad]

    def _weight_optimizer(self) -> torch.optim.Optimizer:
        config = self.config
        groups = []
        frozen = self._frozen()
        for name, every in self.lab.supernet.parameter_groups().items():
            parameters = [p for p in every if id(p) not in frozen]
            if parameters:
                factor = getattr(config, f"{name}_lr_factor", 1.0)
                groups.append({"params": parameters, "factor": factor})
        more = {"weight_decay": config.weight_decay, "fused": _has_fused(self.lab.device)}
        if config.optimizer == "sgd":
            return torch.optim.SGD(groups, config.weight_lr, config.momentum, **more)
        return torch.optim.Adam(groups, config.weight_lr, **more)


def _fixed(gates: Sequence[bool] | None, edges: int) -> tuple[bool, ...] | None:
    """Gates that stay as they are; None: they are searched. Raises ConfigError."""
    if gates is None:
        return None if edges else ()  # without a candidate edge there is nothing to search
    if len(gates) != edges:
        raise ConfigError(f"{len(gates)} gates for {edges} candidate edges; give one for each edge")
    return tuple(gates)


def _has_fused(device: torch.device) -> bool:
    """Whether torch has optimisers there that update all parameters in one call."""
    return device.type in ("cpu", "cuda")


def _of_labelled(tasks: Sequence[str], means: Sequence[float]) -> dict[str, float]:
    """{task: loss}, from the shares of processes that have a label for each task, then the mean losses.

    A task without any label is left out: its loss is 0, and it has learnt nothing. Where some processes have a label,
    the mean is that over these.
    """
    told = {}
    for task, share, mean in zip(tasks, means[: len(tasks)], means[len(tasks) :]):
        if share > 0:
            told[task] = mean / share  # share = 1 in one process: exactly the mean
    return told
