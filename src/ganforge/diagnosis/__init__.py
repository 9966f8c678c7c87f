"""What is wrong with a run, finished or under way: stable codes, evidence, one remedy each.

    for finding in diagnose("runs/cdcgan").findings:
        print(finding.code, finding.evidence, finding.remedy)

First everything is recorded (snapshot.py, signals.py), then judged (checks.py).
"""

from ganforge.diagnosis.checks import CHECKS, Check, explain
from ganforge.diagnosis.diagnose import diagnose, examine, run_checks
from ganforge.diagnosis.findings import Diagnosis, Finding

__all__ = [
    "CHECKS",
    "Check",
    "Diagnosis",
    "Finding",
    "diagnose",
    "examine",
    "explain",
    "run_checks",
]
