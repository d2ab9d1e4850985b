"""The version log: every decision once, in one order, whoever writes at the same time."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import rfc8785
from typer.testing import CliRunner

from assay.cluster import pipeline
from assay.cluster.cli.main import app
from assay.evaluator import fingerprint
from assay.evaluator.errors import DamageError, LedgerError
from assay.evaluator.ledger import log_chain, reader, version_log
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.evaluator.storage import Store, open_store
from assay.manifests import InvalidInput
from tests import builders


@pytest.fixture(scope="module")
def committed(tmp_path_factory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("committed")
    prepared = pipeline.prepare(str(builders.write_experiment(folder, num_rows=64)))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return folder / "ledger", prepared.run.run_id


@pytest.fixture
def ledger(committed, tmp_path) -> tuple[Store, str]:
    shutil.copytree(committed[0], tmp_path / "ledger")
    return open_store(str(tmp_path / "ledger")), committed[1]


def decisions(store: Store, run_id: str) -> list[dict]:
    return reader.read_table(store, reader.committed_files(store, run_id), "decisions").to_pylist()


def test_the_gates_decisions_are_recorded_once_with_what_they_rest_on(ledger):
    store, run_id = ledger
    rows = decisions(store, run_id)
    new = version_log.record_decisions(store, run_id, rows)
    assert version_log.record_decisions(store, run_id, rows) == ()
    assert log_chain.entries(store)[1:] == new  # the first says that the run was committed
    assert {entry.kind for entry in new} == {"decision"}
    assert [(entry.number, entry.decision, entry.arm) for entry in new] == [
        (number, row["decision"], row["arm"]) for number, row in enumerate(rows, start=2)
    ]
    run = reader.read_run(store, run_id)
    assert {entry.plan_digest for entry in new} == {run.plan_digest}
    assert {entry.policy_digest for entry in new} == {run.policy_digest}
    assert new[0].commit_digest == fingerprint.sha256_digest(store.get(f"v2/commits/{run_id}.parquet"))
    assert new[0].reasons == tuple(rows[0]["reasons"])


def test_each_entry_has_the_digest_of_the_canonical_json_of_the_one_before(ledger):
    store, run_id = ledger
    version_log.record_decisions(store, run_id, decisions(store, run_id))
    previous = None
    for number in (1, 2, 3, 4):
        content = store.get(f"v2/log/{number:06d}.json").to_pybytes()
        plain = json.loads(content)
        assert rfc8785.dumps(plain) == content
        assert plain["previous"] == previous
        seal = plain.pop("seal")
        assert seal == fingerprint.sha256_digest(rfc8785.dumps(plain))
        previous = seal


def test_an_override_stands_beside_the_gates_decision(ledger):
    store, run_id = ledger
    version_log.record_decisions(store, run_id, decisions(store, run_id))
    entry = version_log.override(store, run_id, "better", "hold", reason="the launch is frozen", by="release team")
    assert (entry.kind, entry.decision, entry.reason, entry.by) == (
        "override",
        "hold",
        "the launch is frozen",
        "release team",
    )
    assert version_log.record_decisions(store, run_id, decisions(store, run_id)) == ()
    assert log_chain.entries(store)[-1] == entry


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"reason": " "}, InvalidInput, "reason: an override needs a reason"),
        ({"by": ""}, InvalidInput, "by: an override needs a reason and a name"),
        ({"arm": "beter"}, InvalidInput, "did you mean 'better'"),
        ({"arm": "control"}, InvalidInput, "no decision about this arm"),
        ({"run_id": "small-0"}, LedgerError, "has no run"),
    ],
)
def test_an_override_that_says_too_little_is_refused(ledger, change, error, words):
    store, run_id = ledger
    asked = {"run_id": run_id, "arm": "better", "decision": "hold", "reason": "why", "by": "someone", **change}
    with pytest.raises(error, match=words):
        version_log.override(store, **asked)
    assert [entry.kind for entry in log_chain.entries(store)] == ["commit"]


def test_writers_at_once_leave_one_chain_with_every_decision_once(ledger):
    store, run_id = ledger
    rows = decisions(store, run_id)
    with ThreadPoolExecutor(8) as pool:
        recorded = [pool.submit(version_log.record_decisions, store, run_id, rows) for _ in range(4)]
        overridden = [
            pool.submit(version_log.override, store, run_id, "worse", "hold", reason=f"reason {number}", by="someone")
            for number in range(8)
        ]
    assert sum(len(each.result()) for each in recorded) == len(rows)
    found = log_chain.entries(store)
    assert [entry.number for entry in found] == list(range(1, len(rows) + 10))
    assert {entry.seal for entry in found} >= {each.result().seal for each in overridden}
    assert sorted(entry.arm for entry in found if entry.kind == "decision") == sorted(row["arm"] for row in rows)


def test_an_answer_that_was_lost_is_no_second_entry(ledger):
    store, run_id = ledger

    class Forgetful:
        """Stores the object but returns False, as a retry does after a lost response."""

        def __getattr__(self, name):
            return getattr(store, name)

        def put_if_absent(self, key, content):
            store.put_if_absent(key, content)
            return False

    entry = version_log.override(Forgetful(), run_id, "worse", "hold", reason="why", by="someone")
    assert log_chain.entries(store)[1:] == (entry,)


def change_newest(store: Store) -> str:
    """Changes the newest entry, without sealing it anew, and returns its key."""
    key = max(stored.key for stored in store.listing("v2/log/"))
    path = Path(store.uri, key)
    path.write_text(path.read_text().replace('"version":1', '"version":2'))
    return key


def test_nothing_is_appended_behind_an_entry_that_was_changed(ledger):
    store, run_id = ledger
    version_log.record_decisions(store, run_id, decisions(store, run_id))
    key = change_newest(store)
    with pytest.raises(DamageError, match=rf"{key}.*was changed.*restore the file.*assay ledger verify"):
        version_log.override(store, run_id, "worse", "hold", reason="why", by="someone")
    with pytest.raises(DamageError, match=rf"{key}.*was changed"):
        version_log.record_decisions(store, run_id, decisions(store, run_id))


def test_an_entry_that_was_sealed_anew_does_not_fit_the_next(ledger):
    store, run_id = ledger
    version_log.record_decisions(store, run_id, decisions(store, run_id))
    path = Path(store.uri, "v2/log/000001.json")
    plain = {**json.loads(path.read_text()), "by": "nobody"}
    del plain["seal"]
    path.write_bytes(rfc8785.dumps({**plain, "seal": fingerprint.sha256_digest(rfc8785.dumps(plain))}))
    (wrong,) = [link for link in log_chain.links(store) if link.problem]
    assert wrong.key == "v2/log/000002.json"
    assert "that entry was replaced" in wrong.problem


def test_an_entry_that_only_looks_different_was_changed(ledger):
    store, run_id = ledger
    version_log.record_decisions(store, run_id, decisions(store, run_id))
    path = store.path("v2/log/000001.json")
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1))
    assert "was changed" in next(log_chain.links(store)).problem


def test_a_second_name_of_a_number_is_no_entry(ledger):
    store, run_id = ledger
    version_log.record_decisions(store, run_id, decisions(store, run_id))
    store.put_if_absent("v2/log/0000001.json", store.get("v2/log/000001.json"))
    assert [link.problem for link in log_chain.links(store) if link.problem] == []
    assert {each.key: each.problem for each in verify_ledger(store).problems} == {
        "v2/log/0000001.json": "was not written by Assay"
    }


def _append_of_another_release(store: Store, **fields: object) -> dict:
    """Seals and chains an entry by the format's rules, without the code under test."""
    log = sorted(store.listing("v2/log/"), key=lambda each: each.key)
    plain = {
        "number": len(log) + 1,
        "previous": json.loads(store.get(log[-1].key).to_pybytes())["seal"] if log else None,
        "at": "2031-01-01T00:00:00.000+00:00",
        "by": "rollout",
        "version": 1,
        **fields,
    }
    plain["seal"] = fingerprint.sha256_digest(rfc8785.dumps(plain))
    assert store.put_if_absent(f"v2/log/{plain['number']:06d}.json", rfc8785.dumps(plain))
    return plain


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"kind": "rollout_step", "step": "canary", "share": 0.05}, "kind 'rollout_step', version 1"),
        ({"kind": "decision", "version": 2, "arms": ["better"]}, "kind 'decision', version 2"),
    ],
)
def test_an_entry_of_an_unknown_kind_is_named_and_the_others_are_still_read(ledger, fields, named):
    store, run_id = ledger
    version_log.record_decisions(store, run_id, decisions(store, run_id))
    before = log_chain.entries(store)
    plain = _append_of_another_release(store, **fields)
    after = version_log.override(store, run_id, "better", "hold", reason="why", by="someone")

    found = log_chain.entries(store)
    assert (found[:-2], found[-1]) == (before, after)
    assert after.previous == plain["seal"]  # the chain goes on through it
    assert found[-2].model_dump(mode="json") == plain
    assert verify_ledger(store, seal=plain["seal"]).problems == ()

    lines = _printed("ledger", "log", "--ledger", store.uri).splitlines()
    assert len(lines) == len(found)
    assert named in lines[-2]
    assert "cannot read; use the release that wrote it" in lines[-2]
    assert json.loads(_printed("ledger", "log", "--ledger", store.uri, "--json"))[-2] == plain


def test_a_change_to_an_entry_of_an_unknown_kind_is_detected(ledger):
    store, _ = ledger
    _append_of_another_release(store, kind="rollout_step", share=0.05)
    path = Path(store.uri, "v2/log/000002.json")
    path.write_text(path.read_text().replace("0.05", "0.95"))
    with pytest.raises(DamageError, match=r"000002.json.*was changed.*does not match its seal"):
        log_chain.entries(store)


def _printed(*arguments: str) -> str:
    """What a command prints that ends with exit code 0."""
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    return ran.stdout
