"""Trains the demo's variants and writes their weights. Training is seeded, on one thread, and takes under a minute.

On the same machine it writes the same files again; on another kind of processor, the last bits may differ.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional

from assay.cluster.demo import digits, models
from assay.evaluator import determinism
from assay.manifests import Determinism

WEIGHTS = Path(__file__).parent.parent / "cluster" / "demo" / "weights"
_BATCH_SIZE = 64


@dataclass(frozen=True)
class Recipe:
    """How one variant is trained.

    Attributes:
        build: Builds the untrained module.
        seed: The seed of the initial weights and of the order of the batches.
        num_epochs: Passes over the training images.
        learning_rate: The initial learning rate of AdamW; it falls to 0 along a cosine.
        weight_decay: The weight decay of AdamW.
        is_shifted: Whether each image is shifted randomly by up to one pixel each time it is used.
    """

    build: Callable[[], nn.Module]
    seed: int
    num_epochs: int
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    is_shifted: bool = False


RECIPES = {
    "baseline": Recipe(lambda: models.perceptron(hidden=64), seed=1, num_epochs=60),
    "convolution": Recipe(
        lambda: models.convolution(channels=24), seed=2, num_epochs=120, weight_decay=5e-2, is_shifted=True
    ),
    "undertrained": Recipe(lambda: models.perceptron(hidden=64), seed=3, num_epochs=5),
}


def main() -> None:
    """Trains all variants and prints their accuracy and log loss on the test images."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument(
        "--into", type=Path, default=WEIGHTS, help="the folder to write the weights to; default: cluster/demo/weights"
    )
    folder = arguments.parse_args().into
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in trained():
        file = folder / f"{name}.safetensors"
        safetensors.torch.save_file(module.state_dict(), file)
        accuracy, log_loss = evaluate(module)
        print(f"{name:13} accuracy {accuracy:.4f}  log loss {log_loss:.4f}  {file.stat().st_size:7,} bytes")


def trained() -> Iterator[tuple[str, nn.Module]]:
    """Trains the variants one by one; yields each with the name of its weights file."""
    determinism.apply(Determinism())
    for name, recipe in RECIPES.items():
        module = train(recipe)
        yield name, module
        if name == "baseline":
            yield "int8", quantised(module)


def train(recipe: Recipe) -> nn.Module:
    """Trains one module on the training images."""
    determinism.seed_all(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    images, labels = _tensors(digits.training())
    module = recipe.build()
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, foreach=False
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.num_epochs)
    for _ in range(recipe.num_epochs):
        for rows in torch.randperm(len(labels), generator=generator).split(_BATCH_SIZE):
            batch = shifted(images[rows], generator) if recipe.is_shifted else images[rows]
            optimiser.zero_grad()
            functional.cross_entropy(module(batch), labels[rows]).backward()
            optimiser.step()
        schedule.step()
    return module.eval()


def shifted(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Shifts each image by -1, 0 or 1 pixels in both directions, padding with 0; (rows, 8, 8) in and out."""
    padded = functional.pad(images, (1, 1, 1, 1))
    down, across = torch.randint(0, 3, (2, len(images), 1, 1), generator=generator)
    rows = torch.arange(len(images))[:, None, None]
    line = torch.arange(8)
    return padded[rows, line[None, :, None] + down, line[None, None, :] + across]


def quantised(module: nn.Module) -> nn.Module:
    """A trained perceptron whose weights are rounded to 8 bits, with one symmetric scale per row."""
    state = module.state_dict()
    small = models.quantised_perceptron(hidden=len(state["hidden.weight"]))
    filled = {}
    for layer in ("hidden", "output"):
        weight = state[f"{layer}.weight"]
        scale = (weight.abs().amax(dim=1) / 127).half()
        filled[f"{layer}.scale"] = scale
        filled[f"{layer}.weight"] = (weight / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
        filled[f"{layer}.bias"] = state[f"{layer}.bias"].half()
    small.load_state_dict(filled)
    return small.eval()


def evaluate(module: nn.Module) -> tuple[float, float]:
    """Accuracy and log loss on the test images."""
    images, labels = _tensors(digits.test())
    with torch.inference_mode():
        logits = module(images)
    return (logits.argmax(dim=1) == labels).double().mean().item(), functional.cross_entropy(logits, labels).item()


def _tensors(of: digits.Digits) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.array(of.images)), torch.from_numpy(np.array(of.labels))


if __name__ == "__main__":
    main()
