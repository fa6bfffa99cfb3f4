"""Which segment a customer is in: frozen rules, and how they are learnt.

| module | what it is for |
| --- | --- |
| `rules` | the rules themselves: NumPy and JSON, all that serving needs |
| `expressions` | the same rules as Ibis expressions, which run where the data live |
| `estimators` | scikit-learn estimators that learn a rule |
| `naming` | names for KMeans segments, read off the centroids |
| `n_segments` | how many segments: silhouette, inertia, stability |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
