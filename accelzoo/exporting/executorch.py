"""ExecuTorch programs, `.pte`, for PyTorch's runtime on phones and boards.

What XNNPACK can run goes to it, as a part of the program that it reads by itself; the rest runs in ExecuTorch's
portable kernels, which every build of the runtime has. Portable kernels alone are meant to be right, not fast: a
convolution takes them tens of times as long.

Seen to be refused by the check: an FCOS detector whose levels share a convolution but have normalisations of their own.
ExecuTorch 1.5 computed class logits that were 2.6 % off; why was not found out, and RetinaNet was not tried.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Any

from accelzoo._export_job import Job, leaves
from accelzoo.errors import ExportError
from accelzoo.exporting.copies import Copy
from accelzoo.exporting.program import program_of
from accelzoo.hwmodel.oracles.protocol import import_tool

if TYPE_CHECKING:
    from torch.export import ExportedProgram

NAME = "executorch"


def require() -> None:
    """Makes sure that programs can be written.

    Raises:
        MissingToolError: If the extra `executorch` is not installed.
    """
    with _quiet():
        import_tool("executorch.exir", NAME)


def write(job: Job) -> bytes:
    """Returns a program, weights included.

    Raises:
        ExportError: If the network cannot be traced, or ExecuTorch has no kernel for an operator; names it.
    """
    program = program_of(job)
    if operator := _of_free_size(program):
        what = f"how many values {operator} makes depends on what it reads"
        raise ExportError(f"ExecuTorch cannot take a {type(job.module).__name__}: {what}")
    with _quiet():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
        from executorch.exir.error import ExportError as RefusedError
        from executorch.exir.error import InternalError
        from torch._export.verifier import SpecViolationError

        try:
            lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
            return bytes(lowered.to_executorch().buffer)
        except (RuntimeError, ValueError, RefusedError, InternalError, SpecViolationError) as error:
            raise ExportError(f"ExecuTorch cannot take a {type(job.module).__name__}: {error}") from error


def _of_free_size(program: ExportedProgram) -> str | None:
    """The first operator, such as non-maximum suppression, whose output's size only running tells."""
    from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols

    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    return next((str(node.target) for node in calls if free_unbacked_symbols(node.meta.get("val"))), None)


@contextmanager
def loaded(data: bytes, job: Job, threads: int) -> Iterator[Copy]:
    """Loads a program in ExecuTorch's runtime; XNNPACK's pool of threads is the process's and is set back.

    Raises:
        ExportError: If the runtime lacks a kernel.
    """
    with _quiet():
        from executorch.extension.pybindings import portable_lib
        from executorch.runtime import Runtime
    before = portable_lib._threadpool_get_thread_count()
    portable_lib._unsafe_reset_threadpool(threads)  # there is no other way; nothing runs in it now
    try:
        try:
            method: Any = Runtime.get().load_program(data).load_method("forward")
        except RuntimeError as error:
            raise ExportError(f"ExecuTorch's runtime cannot load a {type(job.module).__name__}: {error}") from error
        inputs = leaves(job.inputs)
        yield Copy(f"executorch-{metadata.version('executorch')}", lambda: method.execute(inputs), leaves)
    finally:
        portable_lib._unsafe_reset_threadpool(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Its modules warn on import that they are experimental, and use what Python and torch are about to drop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
