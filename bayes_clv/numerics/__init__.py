"""Fast numerical routines, independent of the models.

| module | what it is for |
| --- | --- |
| `jit` | compilation with Numba, cached on disk |
| `special` | exp, log and ln Γ, which LLVM turns into vector instructions |
| `quantiles` | means and quantiles of many draws, without sorting them |
| `chebyshev` | interpolation of a smooth function of T from a few Chebyshev points |
| `keyed_random` | random numbers that depend only on a seed and a state |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
