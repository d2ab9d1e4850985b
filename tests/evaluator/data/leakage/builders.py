"""Datasets and training sets with known leaks, generated."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.leakage import leakage_of, open_training
from assay.evaluator.storage import open_store
from assay.manifests.contract import Contract
from assay.manifests.contract_column import Column
from assay.manifests.dataset import Dataset
from assay.manifests.leakage import Leakage, LeakageCheck, Overlap

Y = Column(name="y", role="label", type="int64")


def frozen(folder: Path, columns: Sequence[Column], rows: dict, *, name: str = "test", shard_rows: int | None = None):
    """Freezes rows, given by column, as NAME@v1 in the folder's store; returns the dataset and the store."""
    folder.mkdir(exist_ok=True, parents=True)
    pq.write_table(pa.table(rows), folder / f"{name}.parquet")
    contract = Contract(kind="Contract", version=1, columns=tuple(columns))
    store = open_store(str(folder / "datasets"))
    source = folder / f"{name}.parquet"
    return freeze([source], contract=contract, reference=f"{name}@v1", store=store, shard_rows=shard_rows), store


def train(folder: Path, rows: dict, *, name: str = "train.parquet") -> str:
    """Writes rows, given by column, as a training file."""
    pq.write_table(pa.table(rows), folder / name)
    return str(folder / name)


def searched(dataset: Dataset, store, *training: str, check: LeakageCheck | None = None, **more) -> Leakage:
    opened = [open_training(each, dataset=dataset) for each in training]
    return leakage_of(dataset, store, training=opened, check=check, **more)


def overlap(found: Leakage, kind: str) -> Overlap:
    return next(each for each in found.overlaps if each.kind == kind)


def vocabulary(size: int, *, seed: int = 3) -> np.ndarray:
    """Words of 2 to 10 letters, short ones first, because frequent words are short."""
    random = np.random.default_rng(seed)
    lengths = np.sort(random.integers(2, 11, size))
    return np.array(["".join(random.choice(list("abcdefghijklmnopqrstuvwxyz"), length)) for length in lengths])


def texts(num_rows: int, words: np.ndarray, *, seed: int, num_words: int = 40) -> list[list[str]]:
    """Texts of about the given number of words; the n-th word is about 1/n as frequent as the first."""
    random = np.random.default_rng(seed)
    ranks = np.minimum((random.pareto(0.6, (num_rows, num_words)) * 8).astype(int), len(words) - 1)
    lengths = random.integers(num_words * 3 // 4, num_words * 5 // 4, num_rows).clip(max=num_words)
    return [words[row[:length]].tolist() for row, length in zip(ranks, lengths, strict=True)]


def edited(text: list[str], words: np.ndarray, random: np.random.Generator) -> list[str]:
    """The text with one word changed, swapped with another, or dropped."""
    found, at, other = list(text), *random.choice(len(text), 2, replace=False)
    match random.integers(3):
        case 0:
            found[at] = str(words[random.integers(len(words))]) + "x"
        case 1:
            found[at], found[other] = found[other] + ",", found[at]
        case _:
            del found[at]
    return found
