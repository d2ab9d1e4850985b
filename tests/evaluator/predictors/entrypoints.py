"""Entrypoints for the tests of this folder."""

import time
from pathlib import Path

import numpy as np
import torch
from torch import nn


class Linear(nn.Module):
    """Passes the difference of two inputs through one layer."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layer = nn.Linear(3, hidden)
        self.dropout = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(hidden)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return self.norm(self.dropout(self.layer(left.float() - right.float())))


NUM_LOADS = []
"""One entry per call of a load step below."""


class Factor:
    """A load step: multiplies by a factor from a file."""

    def __init__(self, *, weights: str, offset: float = 0.0) -> None:
        NUM_LOADS.append(weights)
        self.factor, self.offset = float(Path(weights).read_text()), offset

    def __call__(self, features: dict[str, np.ndarray]) -> np.ndarray:
        return features["left"].sum(axis=1) * self.factor + self.offset


def load_factor(*, weights: str, offset: float = 0.0):
    return Factor(weights=weights, offset=offset)


def load_factors(*, weights: list[str]):
    factors = [Factor(weights=each) for each in weights]
    return lambda features: sum(factor(features) for factor in factors)


def load_nothing() -> None:
    """Forgets to return anything."""


def linear(*, hidden: int = 4) -> nn.Module:
    return Linear(hidden)


class _Function(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        return self.function(*features)


def in_place() -> nn.Module:
    return _Function(lambda left: left.mul_(0))


def sleeping() -> nn.Module:
    def sleep(left: torch.Tensor) -> torch.Tensor:
        time.sleep(0.02)
        return left

    return _Function(sleep)


def never_written() -> nn.Module:
    return _Function(lambda left: torch.empty(left.shape))


def half_precision() -> nn.Module:
    return _Function(lambda left: left.to(torch.bfloat16))


def tuple_of_tensors() -> nn.Module:
    return _Function(lambda left: (left, left))


def one_row() -> nn.Module:
    return _Function(lambda left: left[:1])


def four_axes() -> nn.Module:
    return _Function(lambda left: left[:, :, None, None])


def mode() -> nn.Module:
    return _Function(lambda left: torch.full((len(left),), float(torch.is_inference_mode_enabled())))


def echo() -> nn.Module:
    return _Function(lambda left: left.reshape(len(left), -1))


def one_tensor() -> nn.Module:
    memory = torch.empty(8, 3)
    return _Function(memory.copy_)


def one_tensor_anywhere() -> nn.Module:
    kept = []

    def copied(left):
        if not kept:
            kept.append(torch.empty_like(left))
        return kept[0].copy_(left)

    return _Function(copied)


def first_of_all() -> nn.Module:
    kept = []

    def first(left):
        kept.append(left)
        return kept[0]

    return _Function(first)


def growing() -> nn.Module:
    widths = iter((3, 4))
    return _Function(lambda left: torch.zeros(len(left), next(widths)))


def raising() -> nn.Module:
    return _Function(lambda left: left @ left)


def failing_to_build() -> nn.Module:
    raise RuntimeError("no such backbone")


def no_module() -> str:
    return "a string"


def sums(features: dict[str, np.ndarray], *, scale: float = 1.0) -> np.ndarray:
    return scale * sum(column.reshape(len(column), -1).sum(axis=1) for column in features.values())


def names_of_inputs(features: dict[str, np.ndarray]) -> list[str]:
    return ["+".join(features)] * len(next(iter(features.values())))


def lengths_of_text(features: dict[str, np.ndarray]) -> list[float]:
    return [float(len(text)) for text in features["text"]]


def writing(features: dict[str, np.ndarray]) -> np.ndarray:
    features["left"][:] = 0
    return features["left"][:, 0]


_memory = np.empty(8)


def one_array(features: dict[str, np.ndarray]) -> np.ndarray:
    _memory[:] = features["left"][:, 0]
    return _memory


def returning(features: dict[str, np.ndarray], *, value: object) -> object:
    return value


NOT_A_FUNCTION = 3


class Remembering(nn.Module):
    """Returns its input and remembers its dtype."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        self.last_dtype = values.dtype
        return values


def remembering() -> nn.Module:
    return Remembering()
