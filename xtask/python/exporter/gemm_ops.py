"""Stand-ins for the engine's operators, which archives name: products on a CPU's tiles (Intel AMX).

crates/cpu-linear implements the operators. PyTorch refuses an archive that names an unknown
operator, so a Python program imports this module before it loads an archive. The stand-in of
`has_tiles` answers no, and then an archive calls none of the other three.
"""

import torch

OPERATORS = torch.library.Library("parakeet", "DEF")
OPERATORS.define("has_tiles(Tensor weight) -> bool")
OPERATORS.define("lay_out(Tensor weight, Tensor? scale, Tensor? bias) -> Tensor")
OPERATORS.define("multiply(Tensor rows, Tensor laid_out, int n_out, str then) -> Tensor")
OPERATORS.define("add_product_(Tensor(a!) x, Tensor rows, Tensor laid_out) -> Tensor(a!)")
OPERATORS.impl("has_tiles", lambda _: cpu_has_tiles(), "CompositeExplicitAutograd")


def cpu_has_tiles() -> bool:
    """Returns False: Python has no kernels for tiles. Tests replace this function."""
    return False
