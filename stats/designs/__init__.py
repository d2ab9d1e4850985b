"""From samples to results by design (paired, unpaired): omnibus test, family of comparisons, margins, segments."""
