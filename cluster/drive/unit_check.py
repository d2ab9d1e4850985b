"""The check of a run's published units: whatever is damaged is set aside, so that the driver has it scored again."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from assay.cluster.errors import RunError
from assay.evaluator.batches import Unit
from assay.evaluator.errors import UnitDamageError
from assay.evaluator.ledger import reader, writer
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import unit_place
from assay.manifests.run import Run


@dataclass
class Checked:
    """The outcome of checking some units.

    Attributes:
        intact: The receipts of those whose rows are intact.
        set_aside: The receipts of the others, each with what happened to its file.
    """

    intact: list[UnitReceipt] = field(default_factory=list)
    set_aside: list[tuple[UnitReceipt, str]] = field(default_factory=list)


class UnitCheck:
    """Checks units of one run, and remembers those that were damaged: a unit is scored again once."""

    def __init__(self, store: Store, run: Run, units: Sequence[Unit]) -> None:
        """Reads nothing yet.

        Args:
            store: The ledger.
            run: The opened run.
            units: The dataset's units.
        """
        self._store, self._run, self._units = store, run, units
        self._num_damaged = Counter[str]()

    def checked(self, receipts: Iterable[UnitReceipt]) -> Checked:
        """Verifies everything in the files of these units, one file in memory at a time.

        Raises:
            RunError: A unit was damaged again after it had been scored again.
            UnitDamageError: A unit is damaged, but another driver has committed the run.
        """
        outcome = Checked()
        for receipt in receipts:
            try:
                found = reader.verified(
                    self._store,
                    receipt.key,
                    run=self._run,
                    unit=self._units[receipt.unit],
                    sha256=receipt.sha256,
                )
            except UnitDamageError:
                message = self.set_aside(receipt.key, sha256=receipt.sha256)
                if message:
                    outcome.set_aside.append((receipt, message))
                    continue
                found = receipt
            outcome.intact.append(found if receipt.sha256 is None else receipt)
        return outcome

    def set_aside(self, key: str, *, sha256: str | None = None) -> str:
        """Sets the file of a unit aside, unless a second look finds it intact.

        Args:
            key: The file's key.
            sha256: The digest of the file as it was stored; None if it is unknown.

        Returns:
            What happened, for an event; empty if the file is intact.

        Raises:
            RunError: The unit was damaged again after it had been scored again.
            UnitDamageError: Another driver has committed the run.
        """
        place = unit_place(key)
        assert place is not None
        message = writer.set_aside(self._store, key, run=self._run, unit=self._units[place.unit], sha256=sha256)
        self._num_damaged[key] += bool(message)
        if self._num_damaged[key] > 1:
            raise RunError(
                f"{self._store.uri}: {message}, but it had been scored again already after it was damaged: the store "
                "damages what it holds, or somebody changes it; find out why, then run the same command again"
            )
        return message
