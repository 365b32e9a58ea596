"""Which calls change an object: tables of method names, and of functions that change what they are given.

Called by `walk.py`. What a change is called decides what rules say of it: a second `append` grows the list again, a
second `fit` makes the same model.
"""

from typing import Literal

How = Literal["grow", "shrink", "reorder", "fit", "set", "item", "attribute", "inplace", "augmented", "call"]

METHODS: dict[str, How] = {
    "append": "grow", "extend": "grow", "insert": "grow", "appendleft": "grow", "extendleft": "grow",
    "pop": "shrink", "popleft": "shrink", "popitem": "shrink", "remove": "shrink", "drop_column": "shrink",
    "clear": "set", "add": "set", "discard": "set", "update": "set", "setdefault": "set", "difference_update": "set",
    "intersection_update": "set", "symmetric_difference_update": "set",
    "sort": "reorder", "reverse": "reorder", "rotate": "reorder",
    "fit": "fit", "fit_transform": "fit", "partial_fit": "fit", "fit_predict": "fit", "fit_resample": "fit",
    "train": "fit", "learn_one": "fit", "fit_generator": "fit", "fine_tune": "fit", "learn": "fit",
    "compile": "set", "load_state_dict": "set", "load_weights": "set", "set_params": "set", "set_weights": "set",
    "load_model": "set", "requires_grad_": "set", "zero_grad": "set", "step": "call", "backward": "call",
    "put": "grow", "put_nowait": "grow", "write": "grow", "writelines": "grow", "fill": "set",
    "add_node": "set", "add_edge": "set", "add_nodes_from": "set", "add_edges_from": "set",
    "remove_node": "shrink", "remove_edge": "shrink", "add_module": "set", "register_buffer": "set",
}  # fmt: skip

# Those of them that give nothing back: where something is taken from them, they are another class's.
GIVES_NOTHING = frozenset(
    {
        "append", "extend", "insert", "appendleft", "extendleft", "remove", "clear", "add", "discard", "update", "sort",
        "reverse", "rotate",
    }
)  # fmt: skip

# Functions that change an argument, by the end of their dotted name: which argument, from 0.
FUNCTIONS: dict[str, tuple[int, How]] = {
    "random.shuffle": (0, "reorder"), "heapq.heappush": (0, "grow"), "heapq.heappop": (0, "shrink"),
    "heapq.heapify": (0, "reorder"), "bisect.insort": (0, "grow"), "np.put": (0, "item"), "numpy.put": (0, "item"),
    "np.copyto": (0, "item"), "numpy.copyto": (0, "item"), "np.fill_diagonal": (0, "item"),
    "numpy.fill_diagonal": (0, "item"), "np.place": (0, "item"), "np.putmask": (0, "item"), "setattr": (0, "attribute"),
    "delattr": (0, "attribute"), "nx.set_node_attributes": (0, "set"), "nx.set_edge_attributes": (0, "set"),
}  # fmt: skip
_SET_PREFIXES = ("set_", "add_")
_TORCH_INPLACE_MIN = 3


def of_method(name: str) -> How | None:
    """How a method of this name changes its object; None when none is known."""
    how = METHODS.get(name)
    if how is not None:
        return how
    if name[-1] == "_" and name[0] != "_" and len(name) >= _TORCH_INPLACE_MIN and name[-2] != "_":
        return "inplace"  # PyTorch: x.add_(y)
    return "set" if name.startswith(_SET_PREFIXES) else None
