"""Who reads what in a draft, kept up to date while nodes leave it."""

from __future__ import annotations

from collections.abc import Iterable

from accelzoo.importing.draft import Node, Read, Value


class Users:
    """The reads of each node's output, each with the node that reads (None: the module returns it)."""

    def __init__(self, nodes: Iterable[Node], outputs: Iterable[Value]) -> None:
        self._nodes = dict.fromkeys(nodes)
        self._users: dict[Node, list[tuple[Node | None, Read]]] = {}
        for node in self._nodes:
            for read in node.reads:
                self[read.node].append((node, read))
        for value in outputs:
            read = Read(node=value.node, shape=value.node.out_shape, whole=value.whole)
            self[value.node].append((None, read))

    def __getitem__(self, node: Node) -> list[tuple[Node | None, Read]]:
        return self._users.setdefault(node, [])

    def nodes(self) -> list[Node]:
        """The nodes that are left, in order."""
        return list(self._nodes)

    def remove(self, node: Node) -> None:
        """Takes a node out that nothing reads."""
        del self._nodes[node]
        for read in node.reads:
            self._users[read.node] = [(user, other) for user, other in self[read.node] if other is not read]

    def bypass(self, node: Node) -> None:
        """Takes a node with one input out; its readers read that input, as much of it as they read of the node."""
        (through,) = node.reads
        moved = self._users.pop(node, [])
        self.remove(node)
        for user, read in moved:
            read.node, read.whole = through.node, read.whole and through.whole
            self[through.node].append((user, read))
