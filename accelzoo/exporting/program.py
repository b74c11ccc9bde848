"""Programs of `torch.export`, and their files, `.pt2`, which `torch.export.load` reads."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from accelzoo._export_job import Job, leaves
from accelzoo.errors import ExportError
from accelzoo.exporting.copies import Copy

if TYPE_CHECKING:
    from torch.export import ExportedProgram

NAME = "torch-export"
BATCH = "batch"
"""The free dimension's name."""


def program_of(job: Job) -> ExportedProgram:
    """Traces a network.

    Raises:
        ExportError: If it cannot be traced so.
    """
    import torch
    from torch.utils._pytree import tree_map

    shapes = None
    if job.dynamic_batch:
        free = {0: torch.export.Dim(BATCH)}
        shapes = tree_map(lambda _: free, job.inputs)
    try:
        with without_torchvisions_warning():
            return torch.export.export(job.module, job.inputs, dynamic_shapes=shapes, strict=False)
    except (RuntimeError, ValueError) as error:
        what = " for any number of images" if job.dynamic_batch else ""
        raise ExportError(f"torch.export cannot export a {type(job.module).__name__}{what}: {error}") from error


@contextmanager
def without_torchvisions_warning() -> Iterator[None]:
    """Its non-maximum suppression describes itself to torch.export in a way that torch is about to drop."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*create_unbacked_symint", FutureWarning)
        yield


def write(job: Job) -> bytes:
    """Returns a program's file.

    Raises:
        ExportError: If the network cannot be traced.
    """
    import torch

    program = program_of(job)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names files of this machine
    data = io.BytesIO()
    torch.export.save(program, data)
    return data.getvalue()


@contextmanager
def loaded(data: bytes, job: Job, threads: int) -> Iterator[Copy]:
    """Reads a program's file back; it uses as many threads as PyTorch may."""
    import torch

    module = torch.export.load(io.BytesIO(data)).module()
    yield Copy(f"torch.export-{torch.__version__}", lambda: module(*job.inputs), leaves)
