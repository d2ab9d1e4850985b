"""The demo's models: the entrypoints of its variants. Inputs are images (rows, 8, 8) with ink from 0 to 16."""

import torch
from torch import nn
from torch.nn import functional

_INK = 16.0
_NUM_CLASSES = 10


def perceptron(*, hidden: int) -> nn.Module:
    """Entrypoint: a perceptron with one hidden layer."""
    return Perceptron(hidden)


def quantised_perceptron(*, hidden: int) -> nn.Module:
    """Entrypoint: the same perceptron with 8-bit weights."""
    return QuantisedPerceptron(hidden)


def convolution(*, channels: int) -> nn.Module:
    """Entrypoint: two convolutions, which recognise strokes anywhere in the image."""
    return Convolution(channels)


class Perceptron(nn.Module):
    """64 pixels, one hidden layer, 10 logits."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(64, hidden)
        self.output = nn.Linear(hidden, _NUM_CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Images (rows, 8, 8) to logits (rows, 10)."""
        pixels = image.flatten(1).float() / _INK
        return self.output(functional.relu(self.hidden(pixels)))


class QuantisedLinear(nn.Module):
    """A linear layer with integer weights from -127 to 127 and one scale per output."""

    weight: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(num_outputs, num_inputs, dtype=torch.int8))
        self.register_buffer("scale", torch.ones(num_outputs, dtype=torch.float16))
        self.register_buffer("bias", torch.zeros(num_outputs, dtype=torch.float16))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Values (rows, inputs) to (rows, outputs), computed in float32."""
        weight = self.weight.float() * self.scale.float()[:, None]
        return functional.linear(values, weight, self.bias.float())


class QuantisedPerceptron(nn.Module):
    """The perceptron with quantised layers of the same names."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.hidden = QuantisedLinear(64, hidden)
        self.output = QuantisedLinear(hidden, _NUM_CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Images (rows, 8, 8) to logits (rows, 10)."""
        pixels = image.flatten(1).float() / _INK
        return self.output(functional.relu(self.hidden(pixels)))


class Convolution(nn.Module):
    """Two convolutions with pooling, one linear layer, 10 logits."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, kernel_size=3, padding=1)
        self.second = nn.Conv2d(channels, 2 * channels, kernel_size=3, padding=1)
        self.output = nn.Linear(2 * channels * 4, _NUM_CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Images (rows, 8, 8) to logits (rows, 10)."""
        strokes = functional.relu(self.first(image[:, None].float() / _INK))
        strokes = functional.relu(self.second(functional.max_pool2d(strokes, 2)))
        return self.output(functional.max_pool2d(strokes, 2).flatten(1))
