"""Segments of customers: frozen rules, and how they are learnt.

| module | what it is for |
| --- | --- |
| `rules` | the rules themselves: NumPy and JSON, all that serving needs |
| `own` | the user's own segments, matched by value, and what is not matched |
| `expressions` | the same rules as Ibis expressions, which run in the engine that holds the data |
| `estimators` | scikit-learn estimators that learn a rule |
| `naming` | names for KMeans segments, derived from the centroids |
| `n_segments` | how many segments: silhouette, inertia, stability |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
