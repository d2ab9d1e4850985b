"""A search for leaks in the terminal: limits and accuracies in words."""

import io

from rich.console import Console

from assay.cluster.report.terminal import leakage
from assay.manifests.leakage import Leakage, LeakageCheck, Overlap, SingleFeature, TrainingSet

DIGEST = f"sha256:{'0' * 64}"


def test_limits_are_none_or_a_share_of_the_rows_and_accuracies_say_what_is_right():
    overlaps = [
        Overlap(kind=kind, num_rows=0, bound=bound, pairs=(), summary="")
        for kind, bound in (("exact", 0.0), ("near", 0.001), ("time", None))
    ]
    found = Leakage(
        reference="a@v1",
        rows_digest=DIGEST,
        num_rows=1000,
        found_at="2026-01-02T03:04:05+00:00",
        check=LeakageCheck(),
        cutoff=None,
        training=(TrainingSet(name="train.csv", sha256=DIGEST, num_rows=9),),
        overlaps=tuple(overlaps),
        single_features=(SingleFeature(feature="fmde", how="value", accuracy=0.709, commonest=0.6),),
        is_fine=True,
    )
    output = io.StringIO()
    leakage.show(found, Console(file=output, width=200))
    lines = [" ".join(line.split()) for line in output.getvalue().splitlines()]
    assert "identical features 0 none -" in lines
    assert "near duplicates 0 0.1 % of rows -" in lines
    assert "too old 0 any -" in lines
    # 0.95 of the 40 % of errors removed: 98 % right
    assert (
        "label predicted from 'fmde' alone (by value) right in 70.9 % below 98.0 % "
        "always the most frequent label: right in 60.0 %"
    ) in lines
