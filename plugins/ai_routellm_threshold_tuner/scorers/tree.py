"""Decision trees over the dense measures of a text, one or a forest of them."""

from dataclasses import dataclass, field

from aigateway.config import Reader

from .measures import MEASURES, measure
from .ngrams import split, window

__all__ = ["Forest", "Node"]

LARGEST_FOREST = 20_000
"""Nodes of all trees together."""


@dataclass(frozen=True, slots=True)
class Node:
    """A question about a measure, or an answer."""

    measure: int = -1
    """The number of the measure; -1: this is a leaf."""
    at_most: float = 0.0
    """A text of this measure or less goes to the left."""
    left: int = 0
    right: int = 0
    value: float = 0.0
    """The answer of a leaf."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """Scores a prompt as the mean of the trees' answers."""

    trees: tuple[tuple[Node, ...], ...] = field(repr=False)

    def score(self, text: str) -> float:
        """Score a prompt from 0 to 1."""
        seen = window(text)
        measures = measure(seen, *split(seen), len(text))
        total = 0.0
        for nodes in self.trees:
            node = nodes[0]
            while node.measure >= 0:
                node = nodes[node.left if measures[node.measure] <= node.at_most else node.right]
            total += node.value
        return total / len(self.trees)

    @classmethod
    def read(cls, reader: Reader) -> "Forest":
        """Read trees of `nodes`: `{measure, at_most, left, right}` or `{value}`; the first is the root.

        Children stand behind their parents, so that no walk goes on for ever.
        """
        trees = [_tree(tree) for tree in reader.tables("trees")]
        if not trees or not all(trees):
            reader.refuse("trees", "a list of objects with nodes", None)
        if sum(map(len, trees)) > LARGEST_FOREST:
            reader.refuse("trees", f"at most {LARGEST_FOREST} nodes", sum(map(len, trees)))
        return cls(trees=tuple(trees))


def _tree(reader: Reader) -> tuple[Node, ...]:
    entries = reader.tables("nodes")
    nodes = []
    for index, entry in enumerate(entries):
        name = entry.choice("measure", "", among=("", *MEASURES))
        value = entry.number("value", 0.0, at_least=0, at_most=1)
        at_most = entry.number("at_most", 0.0)
        left, right = (entry.integer(key, 0, at_least=0) for key in ("left", "right"))
        if name:
            for key, child in (("left", left), ("right", right)):
                if not index < child < len(entries):
                    entry.refuse(key, f"a node from {index + 1} to {len(entries) - 1}", child)
        nodes.append(Node(MEASURES.index(name) if name else -1, at_most, left, right, value))
    return tuple(nodes)
