"""Contract diff: the differences between two contracts, first by column, then of the table's rules."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from assay.evaluator.provenance.dotted import flat
from assay.manifests.contract import Contract
from assay.manifests.contract_column import Column
from assay.manifests.dataset_diff import ContractChange


def contract_changes(earlier: Contract, later: Contract) -> tuple[ContractChange, ...]:
    """Every field that differs; an added or removed column is one change."""
    return (*_columns(earlier, later), *_fields("", _table(earlier), _table(later)))


def _columns(earlier: Contract, later: Contract) -> Iterator[ContractChange]:
    was, now = ({column.name: column for column in contract.columns} for contract in (earlier, later))
    for name in dict.fromkeys([*was, *now]):
        if name not in now:
            yield ContractChange(column=name, field="removed", earlier=_described(was[name]), later="")
        elif name not in was:
            yield ContractChange(column=name, field="added", earlier="", later=_described(now[name]))
        else:
            yield from _fields(name, was[name].model_dump(mode="json"), now[name].model_dump(mode="json"))
    common = [name for name in was if name in now]
    if common != [name for name in now if name in was]:
        order = (json.dumps(list(each), ensure_ascii=False) for each in (was, now))
        yield ContractChange(column="", field="order of columns", earlier=next(order), later=next(order))


def _table(contract: Contract) -> dict[str, Any]:
    return contract.model_dump(mode="json", exclude={"columns", "kind", "version"})


def _fields(column: str, earlier: Mapping[str, Any], later: Mapping[str, Any]) -> Iterator[ContractChange]:
    was, now = flat(earlier), flat(later)
    for field in dict.fromkeys([*was, *now]):
        if was.get(field) != now.get(field):
            yield ContractChange(
                column=column, field=field, earlier=_shown(was.get(field)), later=_shown(now.get(field))
            )


def _shown(value: Any) -> str:
    return "" if value in (None, [], "") else json.dumps(value, ensure_ascii=False)


def _described(column: Column) -> str:
    shape = f" of shape {'x'.join(str(size) for size in column.shape)}" if column.shape else ""
    return f"{column.role}, {column.type}{shape}{', nullable' if column.nullable else ''}"
