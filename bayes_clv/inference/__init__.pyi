from .estimator import HierarchicalBetaGeo as HierarchicalBetaGeo
from .fitting import fit_spend as fit_spend
from .fitting import fit_table as fit_table
from .landmarks import LandmarkTable as LandmarkTable
from .landmarks import landmark_table as landmark_table
from .options import Segmenter as Segmenter
from .sampling import SamplerSettings as SamplerSettings
