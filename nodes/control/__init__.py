"""The network's control: a controller that admits demands, and what it promises."""

from .forecast import Forecast, forecast
from .messages import Contract, Promise
from .path import NodeFigures

__all__ = ["Contract", "Forecast", "NodeFigures", "Promise", "forecast"]
