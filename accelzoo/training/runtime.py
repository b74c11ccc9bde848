"""Where a training runs: its processes and device, and torch's global settings while it lasts."""

from __future__ import annotations

import atexit
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from accelzoo.training.config import TrainConfig
from accelzoo.training.errors import TrainError


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """This process among those that train together.

    Args:
        device: Where it trains.
        rank: Its number, from 0.
        world: How many there are.
    """

    device: torch.device
    rank: int
    world: int

    @property
    def main(self) -> bool:
        """Whether this one writes files and shows progress."""
        return self.rank == 0

    @classmethod
    def start(cls, device: str | torch.device | None) -> Processes:
        """Asks Accelerate; `device` overrides its choice for a single process.

        Raises:
            TrainError: If a device is named while several processes run.
        """
        from accelerate import PartialState
        from accelerate.utils import parse_flag_from_env

        # Without `cpu`, several processes on a machine without a GPU would each train alone.
        state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available())
        if state.num_processes > 1:
            # Else the group's threads may outlive the interpreter that owns them, and abort the process as it ends.
            atexit.unregister(_leave_group)
            atexit.register(_leave_group)
        if device is not None and state.num_processes > 1:
            raise TrainError("device must be left out under `accelerate launch`, which gives each process its own")
        chosen = torch.device(device) if device is not None else state.device
        return cls(device=chosen, rank=state.process_index, world=state.num_processes)

    def agree(self, number: int) -> bool:
        """Says whether all processes hold the same number; waits for them all."""
        if self.world == 1:
            return True
        bounds = torch.tensor([number, -number], device=self.device)
        torch.distributed.all_reduce(bounds, torch.distributed.ReduceOp.MAX)
        return bool(bounds[0] == -bounds[1])

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Overwrites tensors of all processes with those of the first."""
        if self.world > 1:
            for tensor in tensors:
                dense = tensor.contiguous()  # a copy where the channels are last: only this order is sent everywhere
                torch.distributed.broadcast(dense, src=0)
                tensor.copy_(dense)


def _leave_group() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def distributed(model: nn.Module, processes: Processes) -> nn.Module:
    """Wraps the network so that processes average their gradients; a single process gets it back as it is."""
    if processes.world == 1:
        return model
    ids = [processes.device.index] if processes.device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=ids)


def seed_dropout(seed: int, device: torch.device) -> None:
    """Seeds the generators that dropout draws from, which are torch's default ones."""
    # torch.manual_seed would visit every back end (0.1 ms a step).
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)


@contextmanager
def torch_settings(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """Fixes threads, random state and cuDNN's choice of algorithms for a `with` block, and puts them back."""
    threads, cudnn = torch.get_num_threads(), torch.backends.cudnn
    benchmark, deterministic = cudnn.benchmark, cudnn.deterministic
    devices = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.set_num_threads(config.threads)
        cudnn.benchmark, cudnn.deterministic = False, True
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            cudnn.benchmark, cudnn.deterministic = benchmark, deterministic
