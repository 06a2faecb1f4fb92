"""What is known: published studies and their findings, claims and verdicts, pooling, and where each number is from."""

from causalgia.evidence.base import Evidence, add
from causalgia.evidence.claims import Claim, Claims, claims
from causalgia.evidence.schemas import Arm, Outcome, Study

__all__ = ["Arm", "Claim", "Claims", "Evidence", "Outcome", "Study", "add", "claims"]
