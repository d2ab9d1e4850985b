"""Asks Ray's autoscaler whether it can ever meet a demand."""

from collections.abc import Mapping

import ray
from ray._raylet import GcsClient  # pyright: ignore[reportAttributeAccessIssue]  # no public API reports this
from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply  # pyright: ignore[reportAttributeAccessIssue]
from ray.exceptions import RayError, RpcError

_TIMEOUT_S = 5


def refuses(demand: Mapping[str, float]) -> bool:
    """Whether an autoscaler (v2) reports that no present, pending or possible node has room for a slot.

    False while it is still starting nodes, and for older autoscalers.
    """
    try:
        client = GcsClient(ray.get_runtime_context().gcs_address)
        state = GetClusterStatusReply.FromString(client.get_cluster_status(timeout_s=_TIMEOUT_S)).autoscaling_state
    except (RayError, RpcError):
        return False
    refused = [dict(request.resources_bundle) for request in state.infeasible_resource_requests]
    return dict(demand) in refused and not state.pending_instance_requests and not state.pending_instances
