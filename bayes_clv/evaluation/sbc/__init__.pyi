from .design import Design as Design
from .results import Calibration as Calibration
from .study import calibrate as calibrate
