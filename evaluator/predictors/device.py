"""Device: the hardware that a torch variant runs on."""

import torch


def pick_device() -> torch.device:
    """The first available device of: CUDA, Apple's MPS, the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def device_class(device: torch.device) -> str:
    """The name that two devices must share to give the same bits: the model of a CUDA GPU, or else the device type."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def empty_cache(device: torch.device) -> None:
    """Returns torch's cached memory to the device, so that all of it is free for the next variant."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def reset_peak_memory(device: torch.device) -> None:
    """Restarts the measurement that `peak_memory_bytes` reads."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_bytes(device: torch.device) -> int | None:
    """The peak number of bytes that tensors have occupied on a CUDA GPU since the last reset.

    None on other devices, where the variant's memory cannot be told from Assay's own.
    """
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
