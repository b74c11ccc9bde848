"""What a training is made of, as plain values: two runs with the same identity compute the same."""

from __future__ import annotations

import hashlib
import platform
import re
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from accelzoo.tasks.data import TrainingView
from accelzoo.training.config import NEUTRAL_FIELDS, TrainConfig
from accelzoo.training.feed import DenseView

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_DTYPES = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}


def run_identity(model: nn.Module, view: TrainingView | DenseView, config: TrainConfig, world: int) -> dict[str, Any]:
    """Returns config, data digest, digests of the network's structure and of its initial weights, and process count."""
    settings = {name: value for name, value in asdict(config).items() if name not in NEUTRAL_FIELDS}
    return {
        "config": settings,
        "data": view.digest(),
        "network": structure_digest(model),
        "initial_weights": weights_digest(model),
        "processes": world,
    }


def run_environment(device: torch.device) -> dict[str, Any]:
    """Returns what results may depend on in their last bits."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {"torch": torch.__version__, "device": device.type, "device_name": name}


def run_setup(device: torch.device, world: int, precision: str) -> dict[str, Any]:
    """Returns how a training is computed, for a lock.

    Args:
        device: Where it runs.
        world: Number of processes.
        precision: `no`, `bf16` or `fp16`.

    Returns:
        `world_size`, `device` (kind, name and, of a CPU, the vector instructions in use), `dtype` (of the forward pass)
        and the flags that are `deterministic`.
    """
    where = run_environment(device)
    vectors = f" {torch.backends.cpu.get_cpu_capability()}" if device.type == "cpu" else ""
    cudnn = torch.backends.cudnn
    return {
        "world_size": world,
        "device": f"{where['device']} {where['device_name']}{vectors}",
        "dtype": _DTYPES[precision],
        "deterministic": {
            "cudnn_deterministic": cudnn.deterministic,
            "cudnn_benchmark": cudnn.benchmark,
            "algorithms": torch.are_deterministic_algorithms_enabled(),
        },
    }


def structure_digest(model: nn.Module) -> str:
    """Returns `sha256:…` over the printed module tree and the names, shapes and types of all tensors."""
    lines = [_ADDRESS.sub("", repr(model))]
    lines += [f"{name} {tuple(tensor.shape)} {tensor.dtype}" for name, tensor in model.state_dict().items()]
    return f"sha256:{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()}"


def weights_digest(model: nn.Module) -> str:
    """Returns `sha256:…` over all tensors of the network, by name, whatever their memory layout and device."""
    hasher = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        plain = tensor.detach().cpu().contiguous()
        hasher.update(f"{name} {tuple(plain.shape)} {plain.dtype}\n".encode())
        hasher.update(plain.view(-1).view(torch.uint8).numpy().data if plain.numel() else b"")
    return f"sha256:{hasher.hexdigest()}"
