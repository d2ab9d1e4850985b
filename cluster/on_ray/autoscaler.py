"""What Ray's autoscaler says of demand that it can never meet."""

from collections.abc import Mapping

import ray
from ray._raylet import GcsClient  # pyright: ignore[reportAttributeAccessIssue]  # nothing public tells
from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply  # pyright: ignore[reportAttributeAccessIssue]
from ray.exceptions import RayError, RpcError

_TIMEOUT_S = 5


def refuses(demand: Mapping[str, float]) -> bool:
    """Whether an autoscaler (v2) says that no node that is, comes or may be added has room for a slot.

    One that still starts nodes, and an older one, never do.
    """
    try:
        client = GcsClient(ray.get_runtime_context().gcs_address)
        state = GetClusterStatusReply.FromString(client.get_cluster_status(timeout_s=_TIMEOUT_S)).autoscaling_state
    except (RayError, RpcError):
        return False
    refused = [dict(request.resources_bundle) for request in state.infeasible_resource_requests]
    return dict(demand) in refused and not state.pending_instance_requests and not state.pending_instances
