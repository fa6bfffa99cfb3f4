from .jit import compiled as compiled
from .jit import compiled_sums as compiled_sums
