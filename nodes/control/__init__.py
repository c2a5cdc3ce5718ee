"""The network's control: a controller that admits demands, and what it promises."""

from .forecast import Forecast, NodeFigures, forecast
from .messages import Contract, Promise

__all__ = ["Contract", "Forecast", "NodeFigures", "Promise", "forecast"]
