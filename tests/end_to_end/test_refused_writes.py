"""An arm that writes to its inputs fails at once, with what to do about it; the other arms are as in a run without it."""

from assay.cluster import pipeline
from assay.cluster.report.record import document
from tests import builders

CODE = """

def centring(features):
    features["x"] -= 0.5
    return np.where(features["x"] > 0, 0.9, 0.1)
"""


def report(folder, arms):
    experiment = builders.write_experiment(folder, arms=arms)
    (folder / "variants_under_test.py").write_text(builders.CODE + CODE)
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return document(prepared.store, prepared.run.run_id).plain()


def test_a_refused_write_fails_the_arm_without_another_attempt_and_names_the_remedy(tmp_path):
    centring = builders.variant("centring")
    arms = {
        "control": builders.variant(flip_every=5),
        "refused": centring,
        "allowed": centring | {"writes_inputs": True},
    }
    found = report(tmp_path, arms)
    by_name = {arm["arm"]: arm for arm in found["arms"]}
    assert by_name["refused"]["status"] == "failed"
    reason = by_name["refused"]["reason"]
    assert "output array is read-only; the arrays that a variant receives are read-only: copy an array" in reason
    assert "set 'writes_inputs: true'" in reason
    assert "attempt" not in reason
    assert by_name["allowed"]["status"] == "complete"
    means = {arm["arm"]: arm["mean"] for arm in found["analysis"]["arms"]}
    assert means["allowed"] == 1.0
