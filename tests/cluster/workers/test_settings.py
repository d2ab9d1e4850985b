"""What an arm sets in its process is gone with it: the scores of the arms before, beside and after it stay the same."""

import sys

import pytest

from assay.cluster import pipeline
from assay.cluster.report.record import document
from tests.cluster.workers import arms

SETTINGS = (  # noqa: SIM905
    "default_dtype default_device patched_gelu patched_linear autocast_entered inference_entered grad_off forward_hook "
    "function_mode mkldnn_off threads deterministic precision flush_denormal torch_seed patched_where numpy_seed seterr "
    "print_options random_seed warnings_as_errors stub_modules patched_len gc_off recursion_limit switch_interval profile "
    "excepthook decimal locale patched_json patched_time patched_scorer directory umask signals open_files niceness "
    "affinity environment temporary_file stdout"
).split()
SAMPLE = (
    "default_dtype",
    "patched_gelu",
    "forward_hook",
    "patched_where",
    "patched_len",
    "patched_scorer",
    "environment",
)
LEAKS_IN_PROCESS = ("default_dtype", "patched_gelu", "forward_hook", "recursion_limit", "environment", "gc_off")


def changing(settings) -> dict[str, dict]:
    return {each: arms.arm("settings:changes", setting=each) for each in settings} | {
        "at_load": arms.arm("settings:ChangesAtLoad", load=True, setting="default_dtype"),
        "at_import": arms.arm("at_import:predict"),
    }


def check(folder, settings, alone, monkeypatch, **resources) -> None:
    ended = arms.ran(arms.write(folder, arms.interleaved(changing(settings)), **resources), monkeypatch)
    print(f"{len(settings) + 2} settings beside {len(alone)} innocent arms: {ended.seconds:.1f} s")
    assert ended.innocent() == alone
    assert {name: end for name, end in ended.outcomes().items() if end != "complete"} == {}
    assert arms.gone(folder) == {}
    assert arms.left_folders(folder) == []


def test_settings_of_arms_beside_them_do_not_move_the_scores_of_innocent_arms(tmp_path, alone, monkeypatch):
    check(tmp_path, SAMPLE, alone, monkeypatch, max_slots=2)


@pytest.mark.extended
@pytest.mark.parametrize("max_slots", [1, 2])
def test_no_setting_moves_the_scores_of_innocent_arms(tmp_path, alone, max_slots, monkeypatch):
    check(tmp_path, SETTINGS, alone, monkeypatch, max_slots=max_slots)


@pytest.mark.ray
@pytest.mark.parametrize("max_slots", [1, 2])
def test_no_setting_moves_the_scores_of_innocent_arms_on_ray(tmp_path, local_ray, max_slots, monkeypatch):
    expected = arms.ran(arms.write(tmp_path / "alone", arms.INNOCENT, max_slots=1), monkeypatch).innocent()
    check(tmp_path / "beside", SETTINGS, expected, monkeypatch, max_slots=max_slots)


@pytest.mark.extended
def test_the_innocent_arms_would_show_what_others_have_set(tmp_path, alone):
    """In one process they do, so equal digests mean something."""
    others = {each: arms.arm("settings:changes", setting=each) for each in LEAKS_IN_PROCESS}
    prepared = pipeline.prepare(str(arms.write(tmp_path, arms.interleaved(others))))
    limit = sys.getrecursionlimit()
    child = arms.in_a_child(lambda: pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None))
    assert child == 0
    assert sys.getrecursionlimit() == limit
    rows = {row["arm"]: row for row in document(prepared.store, prepared.run.run_id).plain()["arms"]}
    assert rows["again"]["scores_digest"] != rows["looks"]["scores_digest"]
    assert alone["again"] == alone["looks"]
