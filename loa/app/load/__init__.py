"""Load: thousands of enrolled endpoints from few processes, against a core that runs (docs/load.md).

`Crowd` is the door: it enrols, links and binds them, and tells what they met.
"""

from loa.app.load.crowd import Crowd
from loa.app.load.histogram import Histogram
from loa.app.load.plan import LoadPlan
from loa.app.load.tally import OrderTimes, Tally

__all__ = ["Crowd", "Histogram", "LoadPlan", "OrderTimes", "Tally"]
