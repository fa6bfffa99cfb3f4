from .methods import POOLED as POOLED
from .methods import Method as Method
from .methods import default_methods as default_methods
from .purchases import Backtest as Backtest
from .purchases import backtest as backtest
from .spend import backtest_money as backtest_money
from .splits import Split as Split
