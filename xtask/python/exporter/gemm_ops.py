"""The engine's own operators, as an archive names them: products on a CPU's tiles, Intel's AMX.

The engine has them (crates/cpu-linear); here they have a name and no more, and no CPU has tiles.
"""

import torch

OPERATORS = torch.library.Library("parakeet", "DEF")
OPERATORS.define("has_tiles(Tensor weight) -> bool")
OPERATORS.define("lay_out(Tensor weight, Tensor? scale, Tensor? bias) -> Tensor")
OPERATORS.define("multiply(Tensor rows, Tensor laid_out, int n_out, str then) -> Tensor")
OPERATORS.define("add_product_(Tensor(a!) x, Tensor rows, Tensor laid_out) -> Tensor(a!)")
OPERATORS.impl("has_tiles", lambda _: cpu_has_tiles(), "CompositeExplicitAutograd")


def cpu_has_tiles() -> bool:
    """No, as far as Python knows; a test says yes."""
    return False
