"""Policy: what an analysis must show for a decision."""

from typing import Literal

from manifests.base import Manifest


class Policy(Manifest):
    """The rule of the gate, fixed with the plan."""

    kind: Literal["Policy"]
    """Always `Policy`."""
    version: Literal[1]
    """The version of this manifest's form."""
    promote_on: Literal["improvement", "non_inferiority"] = "improvement"
    """`improvement`: the primary metric is better than the control's by more than the plan's minimum effect.
    `non_inferiority`: it is not worse by more than the plan's margin for that arm."""
