"""Names the nodes of a finished draft and makes the graph."""

from __future__ import annotations

from collections.abc import Container

from accelzoo.hwmodel.ir import INPUT, Graph, Op
from accelzoo.hwmodel.op import misfit
from accelzoo.importing.draft import Draft, Node

_NEVER_A_MODULE = ("add", "mul", "concat", "matmul")


def operator(node: Node, name: str = "", inputs: tuple[str, ...] | None = None) -> Op:
    """The operator of a node, with its inputs named if they have names by now."""
    return Op(
        name=name,
        kind=node.kind,
        inputs=("",) * len(node.reads) if inputs is None else inputs,
        in_shapes=tuple([read.shape for read in node.reads]),
        out_shape=node.out_shape,
        kernel_size=node.kernel_size,
        stride=node.stride,
        dilation=node.dilation,
        groups=node.groups,
        bias=node.bias,
        function=node.function,
    )


def emit(draft: Draft, module_paths: Container[str]) -> Graph:
    """Makes the graph; a node that no kind of operator fits becomes opaque under torch's name for it.

    An operator carries the path of the module that it is; one that a larger module runs itself carries that module's
    path and a word for what it does (`blocks.0.add`), numbered from the second on.

    Args:
        draft: The folded draft.
        module_paths: Paths of the modules that may be one operator: those without children, and normalisations.
    """
    names = {draft.input: INPUT}
    taken = {INPUT}
    ops = []
    for node in draft.nodes:
        names[node] = name = _free(_name(node, module_paths), taken)
        taken.add(name)
        op = operator(node, name, tuple([names[read.node] for read in node.reads]))
        if misfit(op):
            op = Op(name, "opaque", op.inputs, op.in_shapes, op.out_shape, function=node.torch_name)
        ops.append(op)
    return Graph(ops, draft.input.out_shape)


def _name(node: Node, module_paths: Container[str]) -> str:
    if node.path and node.own and node.kind not in _NEVER_A_MODULE and node.path in module_paths:
        return node.path
    return f"{node.path}.{node.word}" if node.path else node.word


def _free(name: str, taken: Container[str]) -> str:
    if name not in taken:
        return name
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"
