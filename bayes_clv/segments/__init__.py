"""Segments of customers: frozen rules, and how they are learnt.

| module | what it is for |
| --- | --- |
| `rules` | what every rule can do, and JSON: with the next two, NumPy and all that serving needs |
| `rfm` | the rule of quintile scores and named segments |
| `kmeans` | the rule of the nearest centroid |
| `cuts` | counting cuts below a value, the RFM grid, and rounding noise, which decides nothing |
| `memberships` | soft segments: how weights fall off smoothly across borders, as formulas |
| `weighted` | what hard and soft rules share |
| `own` | the user's own segments, matched by value, and what is not matched |
| `expressions` | the same rules as Ibis expressions, which run in the engine that holds the data |
| `estimators` | scikit-learn estimators that learn a rule |
| `naming` | names for KMeans segments, derived from the centroids |
| `n_segments` | how many segments: silhouette, inertia, stability |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
