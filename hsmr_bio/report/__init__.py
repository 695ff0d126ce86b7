"""The report beside the files: one self-contained HTML page and its JSON twin."""

from .inputs import ReportFrame, ReportInputs
from .page import report_html, report_json, write_report
from .skeleton import model_skeleton

__all__ = ["ReportFrame", "ReportInputs", "model_skeleton", "report_html", "report_json", "write_report"]
