"""A variant that takes memory of the GPU, and says what it saw there."""

import json
import os

import numpy as np
import torch

_NUM_BYTES = 1 << 30
_kept = []


def holds(features, *, notes):
    """Keeps a gigabyte of the GPU's memory until its process ends, and writes down how much was free before."""
    if not _kept:
        free, _ = torch.cuda.mem_get_info()
        parent = os.getppid()
        descriptors = [os.readlink(f"/proc/{parent}/fd/{each}") for each in os.listdir(f"/proc/{parent}/fd")]
        _kept.append(torch.ones(_NUM_BYTES, dtype=torch.uint8, device="cuda"))
        torch.cuda.synchronize()
        left, _ = torch.cuda.mem_get_info()
        with open(os.path.join(notes, f"{os.getpid()}.json"), "w") as file:
            note = {
                "free": free,
                "left": left,
                "zygote": parent,
                # CUDA opens this device when it starts; NVML, by which the zygote may count GPUs, opens only others.
                "zygote_has_cuda": any("nvidia-uvm" in each for each in descriptors),
                "is_bad_fork": torch.cuda._is_in_bad_fork(),
                "is_initialized": torch.cuda.is_initialized(),
            }
            json.dump(note, file)
    return np.where(np.asarray(features["x"]) > 0.5, 0.9, 0.1)
