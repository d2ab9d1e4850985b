"""A hostile arm hurts only itself: it ends by its deadline, in its own words, and leaves nothing behind."""

import re
import shutil
import time

import pytest

from tests.cluster.workers import arms

COMPLETE = "^complete$"
ANSWERED_OR_LOST = "complete|ended by itself|closed, or written to|failed on a batch|cannot"
HUNG = r"no answer for \d+ s \(limit \d+ s\)"
MEMORY = r"its processes used 1\.[0-9]+ GB of memory, more than they may \(resources.memory_bytes\)"
CLOSED = "its process has closed, or written to, the connection to its slot"
STRANGE = "its process has sent what is no message of a worker"
ZYGOTE = "the process that starts workers has ended"

KINDS = {
    # ends: the signal or the exit code, the stack and the last words
    "exit_0": "SystemExit: 0",
    "exit_1": "SystemExit: 1",
    "exit_text": "SystemExit: no more",
    "os_exit_0": "its process ended by itself, with exit code 0",
    "os_exit_3": "its process ended by itself, with exit code 3",
    "abort": r"SIGABRT \(abort\)(.|\n)*hostile.py",
    "keyboard_interrupt": "exit code 1(.|\n)*KeyboardInterrupt",
    "generator_exit": "GeneratorExit",
    "odd_exception": "_Odd",
    "huge_message": "RuntimeError: xxx",
    "lone_surrogates": r"half \\ud800 of a pair",
    "recursion": "maximum recursion depth exceeded",
    "sigsegv": r"SIGSEGV \(a segmentation fault\)",
    "sigkill": "SIGKILL",
    "sigterm": r"SIGTERM \(Terminated\)",
    "sigbus": r"SIGBUS \(a bus error\)",
    "sigfpe": r"SIGFPE \(an arithmetic error\)",
    "sigusr1": "SIGUSR1",
    "real_time_signal": "ended by signal 40",
    "alarm": "SIGALRM",
    "segfault": "SIGSEGV(.|\n)*before the fault(.|\n)*Fatal Python error: Segmentation fault(.|\n)*in _segfault",
    "stack_overflow": "SIGSEGV(.|\n)*in _stack_overflow",
    "cpu_limit": "SIGXCPU|SIGKILL",
    "own_group": "SIGKILL",
    "dies_later": "exit code 5",
    "exec_true": "exit code 0",
    "exec_sleep": CLOSED,
    # what does not end by itself: where it was
    "sigstop": HUNG,
    "python_loop": f"{HUNG}(.|\n)*about to loop(.|\n)*in _python_loop",
    "c_loop": f"{HUNG}(.|\n)*in _c_loop",
    "sleep": f"{HUNG}(.|\n)*hostile.py",
    "lock_of_python": HUNG,
    "signals_ignored": HUNG,
    "deadlock": f"{HUNG}(.|\n)*in _deadlock",
    "blind_loop": f"{HUNG}(.|\n)*about to loop",
    "half_a_message": HUNG,
    "memory": MEMORY,
    "memory_in_child": MEMORY,
    "memory_in_daemon": MEMORY,
    # processes: those that are used properly work; what is left behind is ended
    **dict.fromkeys(("pool_fork", "pool_spawn", "pool_forkserver", "left_pool", "left_shell", "daemon"), COMPLETE),
    "daemon_of_the_dead": "exit code 7",
    **dict.fromkeys(("double_fork", "fifty_processes", "comet"), COMPLETE),
    "kills_zygote": ZYGOTE,
    "terminates_zygote": ZYGOTE,
    "stops_zygote": COMPLETE,
    "stops_zygote_and_dies": CLOSED,
    "kills_guard": ZYGOTE,
    # descriptors, output and the connection
    "closes_all_and_sleeps": CLOSED,
    "closes_all": ANSWERED_OR_LOST,
    **dict.fromkeys(("closes_output", "prints_much", "prints_much_to_errors", "prints_much_in_c"), COMPLETE),
    "prints_junk": "after its output",
    "stretches_output": COMPLETE,
    "sends_junk": CLOSED,
    "sends_huge_length": CLOSED,
    "sends_nothing_known": f"{STRANGE}.*'hello'",
    "sends_a_list": CLOSED,
    "sends_deep": CLOSED,
    "sends_receipt": STRANGE,
    "sends_loss_of_slot": f"{STRANGE}.*a failure of its slot",
    "asks_for_unknown": STRANGE,
    "asks_for_control": ANSWERED_OR_LOST,
    # replaced parts and limits: its own failure, or a score that it has falsified itself
    "no_exit": "KeyboardInterrupt",
    "no_scorer": COMPLETE,
    "no_json": STRANGE,
    **dict.fromkeys(("no_socket", "no_pickle", "no_struct", "no_write", "no_print", "no_len"), ""),
    "audit_hook": COMPLETE,
    **dict.fromkeys(("refuses_open", "forges_loss_of_run"), "a fresh process can read the dataset and the ledger"),
    **dict.fromkeys(("no_open", "changes_user"), ""),
    "gc_off": COMPLETE,
    "few_files": "Too many open files",
    "little_address_space": "",
    # its end and its folder
    **dict.fromkeys(("thread_left", "exit_handler", "hanging_flush"), COMPLETE),
    **dict.fromkeys(("no_folder", "fills_folder", "deep_folder", "changes_directory"), COMPLETE),
}
"""What is said about an arm of each kind. Empty: it may be complete or fail, in whatever words."""

AT_LOAD = {
    "exit_0": "cannot be loaded: SystemExit: 0",
    "segfault": "SIGSEGV",
    "python_loop": HUNG,
    "os_exit_3": "exit code 3",
}
AT_IMPORT = {
    "exit_1": "cannot be imported: SystemExit: 1",
    "sigkill": "SIGKILL",
    "recursion": "maximum recursion depth",
}
SAMPLE = (  # noqa: SIM905
    "exit_0 os_exit_0 segfault real_time_signal daemon_of_the_dead left_pool sends_junk sends_loss_of_slot no_exit "
    "prints_much_in_c few_files no_scorer refuses_open forges_loss_of_run"
).split()


def check(ended: arms.Ended, expected: dict[str, str], alone: dict[str, str], folder) -> None:
    outcomes = ended.outcomes()
    for name, each in outcomes.items():
        print(f"{name:24} {each[:110]!r}")
    print(f"{len(outcomes)} hostile arms beside {len(alone)} innocent ones: {ended.seconds:.1f} s")
    assert ended.innocent() == alone
    unlike = {name: outcomes[name] for name, words in expected.items() if not re.search(words, outcomes[name])}
    assert unlike == {}
    assert all(len(each) < 40_000 for each in outcomes.values())
    assert arms.gone(folder) == {}
    assert arms.left_folders(folder) == []
    assert {event["arm"] for event in ended.report["events"]} & arms.INNOCENT.keys() == set()


def test_hostile_arms_hurt_only_themselves(tmp_path, alone, monkeypatch):
    hostile = {kind: arms.arm("hostile:acts", kind=kind) for kind in SAMPLE}
    ended = arms.ran(arms.write(tmp_path, arms.interleaved(hostile), max_slots=2), monkeypatch)
    check(ended, {kind: KINDS[kind] for kind in SAMPLE}, alone, tmp_path)


def everything(folder) -> tuple[dict[str, dict], dict[str, str]]:
    """All hostile arms, and what is said about them."""
    folder.mkdir()
    hostile = {kind: arms.arm("hostile:acts", kind=kind) for kind in KINDS}
    hostile |= {f"load_{kind}": arms.arm("hostile:ActsAtLoad", load=True, kind=kind) for kind in AT_LOAD}
    for kind in AT_IMPORT:
        shutil.copy(arms.VARIANTS / "hostile_at_import.py", folder / f"imported_{kind}.py")
        hostile[f"import_{kind}"] = arms.arm(f"imported_{kind}:predict")
    expected = {**KINDS, **{f"load_{kind}": words for kind, words in AT_LOAD.items()}}
    return hostile, expected | {f"import_{kind}": words for kind, words in AT_IMPORT.items()}


LIMITS = {"unit_timeout_s": 15, "memory_bytes": 1 << 30}


@pytest.mark.extended
def test_every_hostile_arm_ends_in_its_own_words_and_hurts_nobody(tmp_path, alone, monkeypatch):
    hostile, expected = everything(tmp_path / "all")
    num_open = arms.num_open()
    ended = arms.ran(arms.write(tmp_path / "all", arms.interleaved(hostile), max_slots=2, **LIMITS), monkeypatch)
    check(ended, expected, alone, tmp_path / "all")
    assert arms.num_open() <= num_open + 2


@pytest.mark.extended
@pytest.mark.ray
def test_every_hostile_arm_ends_in_its_own_words_and_hurts_nobody_on_ray(tmp_path, local_ray, monkeypatch):
    expected_alone = arms.ran(arms.write(tmp_path / "alone", arms.INNOCENT, max_slots=1), monkeypatch).innocent()
    hostile, expected = everything(tmp_path / "all")
    ended = arms.ran(arms.write(tmp_path / "all", arms.interleaved(hostile), max_slots=2, **LIMITS), monkeypatch)
    check(ended, expected, expected_alone, tmp_path / "all")


@pytest.mark.extended
def test_the_workers_of_a_slot_leave_no_descriptor_open(tmp_path, monkeypatch):
    few = {f"arm-{number}": arms.arm("hostile:acts", kind="os_exit_0") for number in range(100)}
    num_open = arms.num_open()
    ended = arms.ran(arms.write(tmp_path, arms.interleaved(few), max_slots=1), monkeypatch)
    time.sleep(0.1)
    print(f"{len(few) * 2} workers that ended at once: {ended.seconds:.1f} s")
    assert arms.num_open() <= num_open + 2
