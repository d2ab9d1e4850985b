"""The asynchronous client says what the synchronous one says, blocks no loop, and leaves no thread that polls."""

import asyncio
import inspect
import time

import pytest

from cluster import AsyncClient, Client, submission
from cluster.async_client import AsyncSubmission
from cluster.errors import NoAnswerError, RunError
from cluster.submission import Submission
from manifests import InvalidInput
from tests import builders
from tests.fake_jobs import NOWHERE, TOKEN, FakeJobs, tell


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def faked(jobs, monkeypatch) -> AsyncClient:
    monkeypatch.setattr(submission, "_POLL_S", 0.02)
    found = AsyncClient(NOWHERE, TOKEN)
    found._client = jobs.client()
    return found


@pytest.mark.parametrize(("ours", "twin"), [(AsyncClient, Client), (AsyncSubmission, Submission)])
def test_every_method_of_the_client_has_its_twin_with_the_same_arguments(ours, twin):
    def public(kind: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(each).parameters) for name, each in methods if not name.startswith("_")}

    methods = public(twin)
    methods.pop("polls", None)  # a step of the others
    if twin is Submission:
        methods["run_id"] = ["self"]  # it asks the ledger, so here it is awaited
    assert public(ours) == methods


def test_it_answers_what_the_client_answers(tmp_path, faked, jobs):
    async def all_of_it() -> None:
        first = await faked.submit(builders.write_experiment(tmp_path), name="mine", metadata={"team": "vision"})
        assert (await faked.find("mine")).submission_id == first.submission_id
        assert (await first.status(), await first.run_id(), await first.progress()) == ("pending", None, None)
        told = tell(first._submission, "failed", reason="arm 'x', unit 3: cannot")
        jobs.jobs[first.submission_id] = "FAILED"
        assert await first.run_id() == told.run_id
        assert await first.progress() == told
        assert [each async for each in first.stream(timeout_s=5)] == [told]
        assert [each async for each in first.logs()] == ["all of it"]
        assert await first.wait(timeout_s=5) == "failed"
        with pytest.raises(RunError, match="it failed: arm 'x', unit 3: cannot"):
            await first.result()
        second = await faked.submit(tmp_path / "experiment.yaml", name="mine", metadata={"team": "vision"})
        assert second.submission_id == f"{first.submission_id}.2"
        assert await second.cancel() == "cancelled"
        assert await second.is_marked_cancelled()
        with pytest.raises(InvalidInput, match="did you mean 'mine'"):
            await faked.find("min")

    asyncio.run(all_of_it())


def test_waiting_survives_a_moment_without_a_cluster_and_ends_with_its_deadline(tmp_path, faked, jobs):
    async def wait() -> None:
        first = await faked.submit(builders.write_experiment(tmp_path))
        jobs.errors = [NoAnswerError("gone")] * 3
        with pytest.raises(RunError, match=r"still pending after 0.2 s"):
            await first.wait(timeout_s=0.2)

    asyncio.run(wait())


def test_the_loop_goes_on_while_a_call_takes_its_time(tmp_path, faked, jobs, monkeypatch):
    def slow(submission_id):
        time.sleep(0.3)

    async def count() -> int:
        first = await faked.submit(builders.write_experiment(tmp_path))
        monkeypatch.setattr(jobs, "job", slow)
        asking = asyncio.create_task(first.status())
        num_turns = 0
        while not asking.done():
            await asyncio.sleep(0.01)
            num_turns += 1
        with pytest.raises(RunError, match="does not know"):
            await asking
        return num_turns

    assert asyncio.run(count()) > 5


@pytest.mark.parametrize("lasting", ["wait", "stream", "logs"])
def test_a_cancelled_task_leaves_nobody_who_polls(tmp_path, faked, jobs, lasting):
    async def drained(first: AsyncSubmission) -> None:
        if lasting == "wait":
            await first.wait(timeout_s=60)
            return
        async for _ in first.stream(timeout_s=60) if lasting == "stream" else first.logs():
            pass

    async def cancel_it() -> None:
        first = await faked.submit(builders.write_experiment(tmp_path))
        task = asyncio.create_task(drained(first))
        await asyncio.sleep(0.3)
        assert jobs.num_asked > 2
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.1)  # the one call that was on its way
        num_asked = jobs.num_asked
        await asyncio.sleep(0.2)
        assert jobs.num_asked == num_asked

    asyncio.run(cancel_it())
