"""How numbers are computed quickly, whatever they stand for.

| module | what it is for |
| --- | --- |
| `jit` | how this package compiles, and keeps what is compiled on disk |
| `special` | exp, log and ln Γ, which LLVM turns into vector instructions |
| `quantiles` | means and quantiles of many draws, without sorting them |
| `chebyshev` | a smooth function of T from a few Chebyshev points |
| `keyed_random` | random numbers keyed by seed and state |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
