"""Other processes that compute gradients for the training loop, on cores that are free now and then.

The loop never waits for them: it averages what is ready with its own gradient, a step or two old by then, and
a starved process only makes a step's batch smaller. So the training keeps its pace beside other work, and
takes up a second core while that is idle.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch import multiprocessing as mp

from tools.pocket.trainee import Trainee, computing, flat, split_like

# The network and the number of the batch -> its loss.
Lesson = Callable[[nn.Module, int], Tensor]


class Beside:
    """So many processes with their share of the work; of use as a context."""

    def __init__(
        self, trainee: Trainee, make_lesson: Callable[..., Lesson], given: tuple, count: int
    ) -> None:
        """`make_lesson(rank, *given)`, of a module, is called in each process, with rank 1 and up."""
        context = mp.get_context("spawn")
        self.trainee = trainee
        weights = flat(trainee.master.parameters()) if count else torch.empty(0)
        self.weights = weights.share_memory_()
        self.gradients = torch.zeros(count, self.weights.numel()).share_memory_()
        self.ready = torch.zeros(count, dtype=torch.int64).share_memory_()
        self.taken = 0
        state = (self.weights, self.gradients, self.ready), trainee.config, trainee.step
        self.processes = [
            context.Process(target=_work, args=(rank, os.getpid(), *state, make_lesson, given), daemon=True)
            for rank in range(count)
        ]

    def __enter__(self) -> Beside:
        for process in self.processes:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.terminate()
            process.join()

    def publish(self) -> None:
        """Let the others go on from the master's weights as they are now."""
        if self.processes:
            self.weights.copy_(flat(self.trainee.master.parameters()))

    def take(self) -> Iterator[Tensor]:
        """The gradients (P,) that are ready; each is to be used before the next is asked for."""
        for rank in torch.nonzero(self.ready).flatten().tolist():
            yield self.gradients[rank]
            self.taken += 1
            self.ready[rank] = 0


def _work(
    rank: int,
    parent: int,
    shared: tuple[Tensor, Tensor, Tensor],
    config: str,
    step: int,
    make_lesson: Callable[..., Lesson],
    given: tuple,
) -> None:
    os.nice(19)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # not only where the loop was bound to
    torch.set_num_threads(1)
    weights, gradients, ready = shared
    network = computing(UNet2DConditionModel.from_config(json.loads(config)), torch.device("cpu"))
    own, number = list(network.parameters()), step
    lesson = make_lesson(rank + 1, *given)
    while os.getppid() == parent:
        if ready[rank]:
            time.sleep(0.005)
            continue
        with torch.no_grad():
            for weight, value in zip(own, split_like(weights, own), strict=True):
                weight.copy_(value)
        network.zero_grad(set_to_none=True)
        lesson(network, number).backward()
        gradients[rank].copy_(flat(torch.zeros_like(w) if w.grad is None else w.grad for w in own))
        ready[rank] = 1
        number += 1
