"""The conditions under which units are scored: hardware, packages and determinism flags."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeterminismFlags:
    """The flags in force in this process. A variant's code may have changed what the suite had set.

    Attributes:
        deterministic_algorithms: Whether operations without a deterministic implementation raise or warn.
        warn_only: Whether they only warn.
        cudnn_deterministic: Whether cuDNN uses only deterministic kernels.
        cudnn_benchmark: Whether cuDNN chooses kernels by timing them, so that the choice may vary from run to run.
        matmul_tf32: Whether matrix products may use TensorFloat-32; None if the finer `fp32_precision` flags
            disagree.
        cudnn_tf32: Whether convolutions may use TensorFloat-32; None if the finer `fp32_precision`
            flags disagree.
        num_threads: Threads within one torch operation.
        num_interop_threads: Torch operations that may run at the same time.
        default_dtype: The dtype of new floating-point tensors.
        cublas_workspace_config: `CUBLAS_WORKSPACE_CONFIG`, which cuBLAS reads when it starts.
        nvidia_tf32_override: `NVIDIA_TF32_OVERRIDE`, which overrides the TensorFloat-32 flags.
        python_hash_seed: `PYTHONHASHSEED`, which determines the order of Python's sets of strings.
    """

    deterministic_algorithms: bool
    warn_only: bool
    cudnn_deterministic: bool
    cudnn_benchmark: bool
    matmul_tf32: bool | None
    cudnn_tf32: bool | None
    num_threads: int
    num_interop_threads: int
    default_dtype: str
    cublas_workspace_config: str | None
    nvidia_tf32_override: str | None
    python_hash_seed: str | None


@dataclass(frozen=True, slots=True)
class Conditions:
    """Where and under which settings a slot scores units.

    Attributes:
        host: The host's name.
        cpu: The model of its CPU.
        device: The type of the device, such as `cpu` or `cuda`.
        device_class: The model of the device, on which the last bits of scores may depend.
        num_cpus: CPU cores that the slot reserves.
        num_gpus: GPUs that it reserves.
        accelerator_type: The accelerator type that the arm requests; empty: any.
        environment_digest: Digest of `environment`.
        environment: The version of Python and of each package that scores pass through.
        determinism: The determinism flags in force.
    """

    host: str
    cpu: str
    device: str
    device_class: str
    num_cpus: float
    num_gpus: float
    accelerator_type: str
    environment_digest: str
    environment: dict[str, str | None]
    determinism: DeterminismFlags
