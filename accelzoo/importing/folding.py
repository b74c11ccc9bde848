"""Folds what costs nothing once a network is compiled: normalisation, constant factors and terms, and padding."""

from __future__ import annotations

from accelzoo.hwmodel.op import misfit
from accelzoo.importing.draft import Draft, Node, Value
from accelzoo.importing.emission import operator
from accelzoo.importing.users import Users

_WEIGHTED = ("conv2d", "depthwise_conv2d", "linear")


def fold(draft: Draft, outputs: list[Value]) -> None:
    """Folds every affine and every pad, or turns it into an operator.

    An affine (batch normalisation, layer scale, a constant factor or term) folds into the convolutions or linear layers
    that make its only input, or into the linear layers and convolutions 1×1 that are all that reads it. A factor alone
    also folds into a product of activations, and into convolutions of any size that read it (a term cannot: it would
    have to stop at their padding). What cannot fold is priced as the depthwise convolution 1×1 that it is. Padding
    folds into the convolutions and pools that read it; else it stays, opaque.
    """
    users = Users(draft.nodes, outputs)
    for node in users.nodes():
        if node.kind == "affine":
            _fold_affine(node, users)
    for node in users.nodes():
        if node.kind == "pad":
            _fold_pad(node, users)
    draft.nodes[:] = users.nodes()


def _fold_affine(node: Node, users: Users) -> None:
    (through,) = node.reads
    maker = through.node
    alone = through.whole and len(users[maker]) == 1
    makers = _weighted_makers(maker, users) if alone and node.channels in (1, maker.out_shape[0]) else []
    if makers:
        for weighted in makers:
            weighted.bias = weighted.bias or node.shifts
        users.bypass(node)
    elif alone and maker.kind == "matmul" and node.channels == 1 and not node.shifts:
        users.bypass(node)
    elif users[node] and all(_absorbs(user, node) for user, _ in users[node]):
        for user, _ in users[node]:
            if user is not None:
                user.bias = user.bias or node.shifts
        users.bypass(node)
    else:
        channels = node.out_shape[0]
        node.kind = "depthwise_conv2d" if channels > 1 else "conv2d"
        node.groups, node.bias = channels, node.shifts


def _weighted_makers(maker: Node, users: Users) -> list[Node]:
    """The convolutions and linear layers whose outputs a tensor consists of, perhaps concatenated; [] if others do."""
    if maker.kind in _WEIGHTED:
        return [maker]
    makers: list[Node] = []
    for read in maker.reads if maker.kind == "concat" else []:
        found = _weighted_makers(read.node, users) if read.whole and len(users[read.node]) == 1 else []
        if not found or read.shape[0] != read.node.out_shape[0]:
            return []
        makers += found
    return makers


def _absorbs(user: Node | None, affine: Node) -> bool:
    """Whether a reader takes the factors of its input into its weights, the terms into its bias."""
    if user is None or (affine.shifts and (user.kind not in _WEIGHTED or user.kernel_size != (1, 1))):
        return False
    if affine.channels == 1:
        return user.kind in (*_WEIGHTED, "matmul")
    return user.kind in _WEIGHTED and user.reads[0].shape[0] == affine.channels


def _fold_pad(node: Node, users: Users) -> None:
    (inner,) = node.reads
    folded = []
    for user, read in users[node]:
        window = user is not None and user.kind in ("conv2d", "depthwise_conv2d", "pool")
        if user is None or not window or read.shape != node.out_shape:
            node.kind, node.own = "opaque", False
            return
        padded, read.shape = read.shape, inner.shape
        folded.append((read, padded))
        if misfit(operator(user)):
            for other, shape in folded:
                other.shape = shape
            node.kind, node.own = "opaque", False
            return
    users.bypass(node)
