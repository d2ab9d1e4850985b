"""Why an actor was lost, in one line."""

from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError

from assay.cluster.on_ray.lost_actor import reason_of

# As Ray 2.60 words it, shortened.
OUT_OF_MEMORY = """1 worker(s) were killed due to the node running low on memory.
Memory on the node (IP: 10.0.0.7, ID: 6807d6fb) was 6.76GB used / 23.54GB limit (0.287120)
OOM kill reason: Memory usage 7243341824B exceeded threshold of 7229082112B (28.6% of 25276510208B limit)
Considered workers: [ Selected to kill: (Actor(6f34fa78): task name=Slot.__init__, pid=21610, actual memory used=2.93GB, worker ID=c9) ]
Top 10 memory users: PID MEM(GB) COMMAND
21610 2.93 ray::Slot.perform
20710 0.75 trainer --password=hunter2
Refer to the documentation on how to address the out of memory issue"""


def test_of_a_node_out_of_memory_the_amounts_are_told_and_no_command_of_others():
    reason = reason_of(OutOfMemoryError(OUT_OF_MEMORY))
    assert reason == (
        "the node ran out of memory: 6.76GB used / 23.54GB limit, 2.93GB of it by the slot that was killed"
    )


def test_words_that_are_not_known_are_left_out():
    assert (
        reason_of(OutOfMemoryError("Top 10 memory users: trainer --password=hunter2")) == "the node ran out of memory"
    )


def test_what_else_ends_an_actor_is_told_in_one_line():
    assert reason_of(ActorDiedError()) == f"ActorDiedError: {' '.join(str(ActorDiedError()).split())}"
    assert "\n" not in reason_of(NodeDiedError("it went\naway"))
