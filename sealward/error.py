"""The root of Sealward's exceptions."""

from __future__ import annotations


class SealwardError(Exception):
    """Sealward refuses what it was asked, or cannot do it."""

    code: str = "sealward.error"
    """Stable: it is logged, answered and compared, and never used again for something else."""
