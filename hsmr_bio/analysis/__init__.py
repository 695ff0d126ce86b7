"""From a motion to findings: events, cycles, parameters with their uncertainty."""

from .analyse_motion import AnalysisOptions, analyse
from .analysis import Analysis
from .band import Band, BandComparison, read_band
from .compare_motions import compare
from .comparison import Comparison, CoordinateComparison, ParameterComparison
from .cycles import Cycles
from .events import Event
from .movement import Movement, from_joint_centres
from .parameters import Parameter
from .side_forces import SideForces, side_forces
from .tables import write_analysis

__all__ = [
    "Analysis",
    "AnalysisOptions",
    "Band",
    "BandComparison",
    "Comparison",
    "CoordinateComparison",
    "Cycles",
    "Event",
    "Movement",
    "Parameter",
    "ParameterComparison",
    "SideForces",
    "analyse",
    "compare",
    "from_joint_centres",
    "read_band",
    "side_forces",
    "write_analysis",
]
