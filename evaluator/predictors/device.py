"""Device: where a torch variant runs."""

import torch


def pick_device() -> torch.device:
    """The best device that is there: CUDA, then Apple's MPS, then the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def device_class(device: torch.device) -> str:
    """What has to be equal for two devices to give the same bits: the GPU's model, or the device's type."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def empty_cache(device: torch.device) -> None:
    """Hands cached memory back, so that the next variant finds the device empty."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def reset_peak_memory(device: torch.device) -> None:
    """From here on `peak_memory_bytes` counts."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_bytes(device: torch.device) -> int | None:
    """The most bytes that tensors have taken of a GPU at once; None elsewhere, where nothing tells a variant's from ours."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
