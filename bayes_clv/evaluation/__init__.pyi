from . import backtest as backtest
from . import sbc as sbc
from . import simulate as simulate
from .predictive_checks import purchase_counts as purchase_counts
from .predictive_checks import purchases_by_state as purchases_by_state
from .predictive_checks import track as track
from .sensitivity import with_log_densities as with_log_densities
from .unpooled import fit_alone as fit_alone
