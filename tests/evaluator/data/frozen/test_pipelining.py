"""Stages of a stream in background threads: order is kept, errors come in place, at most one item waits."""

import threading
import time

import pytest

from assay.evaluator.data.frozen.pipelining import ahead, behind


def counted(made: list[int], *, stop: int, fails_at: int | None = None):
    for number in range(stop):
        if number == fails_at:
            raise ValueError(f"item {number}")
        made.append(number)
        yield number


def settled(made: list[int]) -> list[int]:
    """The items that have been produced once production has stopped."""
    while True:
        before = list(made)
        time.sleep(0.05)
        if made == before:
            return before


def test_items_come_in_order_and_are_made_in_another_thread():
    threads = set()

    def items():
        for number in range(100):
            threads.add(threading.current_thread())
            yield number

    assert list(ahead(items())) == list(range(100))
    assert threading.current_thread() not in threads


def test_one_item_is_made_ahead_and_no_more():
    made: list[int] = []
    stream = ahead(counted(made, stop=100))
    for number in range(3):
        assert next(stream) == number
        assert settled(made) == list(range(number + 2))
    stream.close()
    assert settled(made) == list(range(4))


def test_an_error_comes_after_the_items_before_it():
    stream = ahead(counted([], stop=100, fails_at=3))
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="item 3"):
        next(stream)


def test_a_stream_that_is_closed_leaves_no_thread_behind():
    before = threading.active_count()
    stream = ahead(counted([], stop=100))
    next(stream)
    assert threading.active_count() == before + 1
    stream.close()
    assert threading.active_count() == before


def test_work_is_done_in_order_in_another_thread_and_is_done_at_the_end():
    done = []

    def work(number: int) -> None:
        time.sleep(0.001)
        done.append((number, threading.current_thread() is threading.main_thread()))

    with behind(work) as hand_over:
        for number in range(20):
            hand_over(number)
    assert done == [(number, False) for number in range(20)]


def test_no_more_than_one_item_waits_for_the_work():
    handed: list[int] = []
    may_go_on = threading.Event()

    def hand_all_over() -> None:
        with behind(lambda _: may_go_on.wait() and None) as hand_over:
            for number in range(10):
                hand_over(number)
                handed.append(number)

    thread = threading.Thread(target=hand_all_over)
    thread.start()
    assert settled(handed) == [0]
    may_go_on.set()
    thread.join()
    assert handed == list(range(10))


@pytest.mark.parametrize("fails_at", [0, 2, 4])  # the first, one in between, the last
def test_an_error_in_the_work_is_raised_and_nothing_more_is_worked_on(fails_at):
    done = []

    def work(number: int) -> None:
        if number == fails_at:
            raise ValueError(f"item {number}")
        done.append(number)

    def work_on_all() -> None:
        with behind(work) as hand_over:
            for number in range(5):
                hand_over(number)

    with pytest.raises(ValueError, match=f"item {fails_at}"):
        work_on_all()
    assert done == list(range(fails_at))


def test_leaving_with_an_error_waits_for_what_is_under_way():
    may_go_on, done = threading.Event(), []

    def work(number: int) -> None:
        may_go_on.wait()
        done.append(number)

    def leave() -> None:
        with behind(work) as hand_over:
            hand_over(1)
            threading.Timer(0.05, may_go_on.set).start()
            raise KeyError

    with pytest.raises(KeyError):
        leave()
    assert done == [1]
