"""The deployment files are valid by their schemas and by rules beyond the schemas; each rule is shown to fail.

KubeRay's definitions are not part of this repository. They are read from `$ASSAY_KUBERAY`, a folder with
`ray.io_*.yaml` as in a checkout of KubeRay (helm-chart/kuberay-operator/crds), plain or compressed with xz, or from the
folder `shared/kuberay` next to this repository. Without them, the tests that need them are skipped with a reason.
"""

import json
import lzma
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import jsonschema
import kubernetes_validate
import pytest
import typer.main
import yaml

Fields = dict[str, Any]

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "cluster" / "deploy"
DEFINITIONS = Path(os.environ.get("ASSAY_KUBERAY", ROOT.parent / "shared" / "kuberay"))
KUBERAY = ("raycluster.yaml", "rayjob.yaml")
KUBERNETES = "1.37"
RAY = re.search(r"^ray==(\S+)$", (ROOT / "scripts/constraints.txt").read_text(), re.MULTILINE)[1]  # pyright: ignore[reportOptionalSubscript]
GPU = "nvidia.com/gpu"
ABSENT = object()


def read(name: str) -> Fields:
    """A deployment file. Values that YAML anchors share are copied."""
    return json.loads(json.dumps(yaml.safe_load((DEPLOY / name).read_text())))


def broken(name: str, place: str, value: Any) -> Fields:
    """The file with another value at a dotted path, or without it for ABSENT."""
    fields = read(name)
    *parents, last = [int(key) if key.isdigit() else key.replace("|", ".") for key in place.split(".")]
    at: Any = fields
    for key in parents:
        at = at[key]
    if value is ABSENT:
        del at[last]
    else:
        at[last] = value
    return fields


# Schemas


@cache
def definition(kind: str) -> jsonschema.protocols.Validator:
    """A validator of KubeRay's schema of a kind that rejects unknown fields, as `kubectl --validate` does."""
    plain = DEFINITIONS / f"ray.io_{kind.lower()}s.yaml"
    packed = plain.with_suffix(".yaml.xz")
    if not plain.exists() and not packed.exists():
        pytest.skip(f"KubeRay's definitions are not in {DEFINITIONS}; set ASSAY_KUBERAY to the folder that has them")
    text = plain.read_bytes() if plain.exists() else lzma.decompress(packed.read_bytes())
    versions = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))["spec"]["versions"]
    schema = closed(next(each for each in versions if each["name"] == "v1")["schema"]["openAPIV3Schema"])
    return jsonschema.validators.validator_for(schema)(schema)


def closed(schema: Fields) -> Fields:
    """The schema with unknown fields forbidden, except where it allows them explicitly."""
    strict = dict(schema)
    if "properties" in schema:
        strict["properties"] = {name: closed(each) for name, each in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            strict["additionalProperties"] = False
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            strict[inner] = closed(schema[inner])
    return strict


def check_resource(fields: Fields) -> None:
    definition(fields["kind"]).validate(fields)


def check_pods(fields: Fields) -> None:
    for group in groups(cluster_of(fields)):
        pod = {"apiVersion": "v1", "kind": "Pod", **group["template"]}
        pod["metadata"] = {"name": "pod", **pod["metadata"]}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def check_launcher(fields: Fields) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(fields))


@pytest.mark.parametrize("name", KUBERAY)
def test_kuberay_knows_every_field(name: str):
    check_resource(read(name))


@pytest.mark.parametrize("name", KUBERAY)
def test_kubernetes_knows_every_field_of_the_pods(name: str):
    check_pods(read(name))


def test_kubernetes_knows_every_field_of_the_network_policy():
    kubernetes_validate.validate(read("networkpolicy.yaml"), KUBERNETES, strict=True)


def test_rays_launcher_knows_every_field():
    check_launcher(read("aws.yaml"))


WORKER = "spec.workerGroupSpecs.1"
JOB_WORKER = "spec.rayClusterSpec.workerGroupSpecs.1"


@pytest.mark.parametrize(
    ("check", "name", "place", "value", "error"),
    [
        (check_resource, "raycluster.yaml", f"{WORKER}.maxReplica", 4, jsonschema.ValidationError),
        (check_resource, "raycluster.yaml", f"{WORKER}.maxReplicas", ABSENT, jsonschema.ValidationError),
        (check_resource, "raycluster.yaml", f"{WORKER}.rayStartParams.num-cpus", 4, jsonschema.ValidationError),
        (check_resource, "raycluster.yaml", "spec.autoscalerOptions.version", "v3", jsonschema.ValidationError),
        (check_resource, "rayjob.yaml", f"{JOB_WORKER}.template.spec.toleration", [], jsonschema.ValidationError),
        (check_resource, "rayjob.yaml", "spec.entryPoint", "assay", jsonschema.ValidationError),
        (check_pods, "raycluster.yaml", f"{WORKER}.template.spec.containers.0.imagee", "a", None),
        (check_pods, "rayjob.yaml", f"{JOB_WORKER}.template.spec.volumes.0.emptyDir.sizelimit", "1Gi", None),
        (check_launcher, "aws.yaml", "available_node_types.gpu.max_worker", 4, jsonschema.ValidationError),
        (check_launcher, "aws.yaml", "available_node_types.gpu.resources.GPU", "1", jsonschema.ValidationError),
        (check_launcher, "aws.yaml", "head_node_type", "heads", ValueError),
    ],
    ids=lambda each: each.__name__ if callable(each) and not isinstance(each, type) else None,
)
def test_a_slip_is_caught_by_its_schema(
    check: Callable[[Fields], None], name: str, place: str, value: Any, error: type[Exception] | None
):
    fields = broken(name, place, value)
    with pytest.raises(error or kubernetes_validate.ValidationError):
        check(fields)


# Rules beyond the schemas


def cluster_of(fields: Fields) -> Fields:
    return fields["spec"].get("rayClusterSpec", fields["spec"])


def groups(cluster: Fields) -> list[Fields]:
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def num_bytes(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(Ki|Mi|Gi|k|m|g)?", quantity).groups()  # pyright: ignore[reportOptionalMemberAccess]
    return int(number) << {"k": 10, "m": 20, "g": 30, "": 0}[(unit or "")[:1].lower()]


def leaves(node: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its name: its key, or the variable's name for an environment variable."""
    if isinstance(node, str) and name == "runtimeEnvYAML":
        node = yaml.safe_load(node)
    if isinstance(node, list):
        for each in node:
            yield from leaves(each, name)
    elif isinstance(node, dict):
        for key, each in node.items():
            yield from leaves(each, str(node["name"]) if key == "value" and "name" in node else key)
    else:
        yield name, node


_SECRET_NAME = r"(token|password|passwd|secret|credentials?|access_?key(_?id)?|api_?key|private_?key)"
_SECRET_SHAPE = re.compile(rf"AKIA[0-9A-Z]{{16}}|PRIVATE KEY|://[^/\s@]+:[^/\s@]+@|{_SECRET_NAME}=\S", re.IGNORECASE)


def secret_problems(fields: Fields) -> Iterator[str]:
    for name, value in leaves(fields):
        named = re.search(_SECRET_NAME + "$", name, re.IGNORECASE) and not name.startswith("/")
        if isinstance(value, str) and (named or _SECRET_SHAPE.search(value)):
            yield f"{name}: a secret in plain text"


def kuberay_problems(fields: Fields) -> list[str]:
    """Problems of a RayCluster or a RayJob that KubeRay and Kubernetes would accept."""
    cluster = cluster_of(fields)
    found = [*secret_problems(fields), *security_problems(fields)]
    if cluster["rayVersion"] != RAY:
        found.append(f"rayVersion is not {RAY}")
    if cluster["headGroupSpec"]["rayStartParams"].get("num-cpus") != "0":
        found.append("slots on the head")
    if not cluster.get("enableInTreeAutoscaling") or cluster.get("autoscalerOptions", {}).get("version") != "v2":
        found.append("not autoscaled by v2")
    found += [
        f"{group['groupName']}: replicas out of order"
        for group in cluster["workerGroupSpecs"]
        if not 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    ]
    if not any(GPU in each["template"]["spec"]["containers"][0]["resources"]["limits"] for each in groups(cluster)):
        found.append("no group with GPUs")
    for group in groups(cluster):
        found += [f"{group.get('groupName', 'head')}: {each}" for each in pod_problems(group)]
    return found


def pod_problems(group: Fields) -> Iterator[str]:
    pod = group["template"]["spec"]
    container = pod["containers"][0]  # KubeRay expects Ray's container to be the first
    resources = container["resources"]
    limits = resources["limits"]
    if not container["image"].endswith(f":{RAY}"):
        yield f"the image's tag is not {RAY}"
    if resources["requests"] != limits:  # Ray uses the limits, Kubernetes schedules by the requests
        yield "requests are not limits"
    if GPU in limits and not any(each.get("key") == GPU for each in pod.get("tolerations", [])):
        yield "the taint of GPU nodes is not tolerated"
    if pod.get("restartPolicy") != "Never":  # autoscaler v2 replaces pods and does not expect them to come back
        yield "restarted by Kubernetes"
    mounted = {each["mountPath"]: each["name"] for each in container.get("volumeMounts", [])}
    volumes = {each["name"]: each.get("emptyDir", {}) for each in pod.get("volumes", [])}
    memory = volumes.get(mounted.get("/dev/shm", ""), {})
    size = num_bytes(memory.get("sizeLimit", "0")) if memory.get("medium") == "Memory" else 0
    if not 0 < int(group["rayStartParams"].get("object-store-memory", 0)) <= size:
        yield "the object store does not fit into /dev/shm"
    if size >= num_bytes(limits["memory"]):  # its content counts as the container's memory
        yield "/dev/shm leaves no memory"
    ledger = [each for each in container.get("env", []) if each["name"] == "ASSAY_LEDGER"]
    if not (ledger and "secretKeyRef" in ledger[0].get("valueFrom", {})):
        yield "the ledger's location is not from a Secret"


def security_problems(fields: Fields) -> Iterator[str]:
    cluster = cluster_of(fields)
    head = cluster["headGroupSpec"]
    authentication = cluster.get("authOptions", {})
    if authentication.get("mode") != "token" or not authentication.get("secretName"):
        yield "no token from a Secret"
    if any(name == "RAY_AUTH_MODE" and value != "token" for name, value in leaves(fields)):
        yield "RAY_AUTH_MODE is not token"
    services = {head.get("serviceType", "ClusterIP"), head.get("headService", {}).get("spec", {}).get("type")}
    if services - {"ClusterIP", None} or head.get("enableIngress"):
        yield "the dashboard is exposed by its service"
    # KubeRay's operator polls the dashboard for a RayJob's state from outside the pod.
    hosts = {"127.0.0.1", "0.0.0.0"} if fields["kind"] == "RayJob" else {"127.0.0.1"}
    if head["rayStartParams"].get("dashboard-host") not in hosts:
        yield "the dashboard is not bound to loopback"
    label, value = next(iter(read("networkpolicy.yaml")["spec"]["podSelector"]["matchLabels"].items()))
    for group in groups(cluster):
        if group["template"]["metadata"].get("labels", {}).get(label) != value:
            yield "the network policy does not select every pod"
        ports = [port for each in group["template"]["spec"]["containers"] for port in each.get("ports", [])]
        if group["template"]["spec"].get("hostNetwork") or any("hostPort" in port for port in ports):
            yield "a pod in the node's network"


def launcher_problems(fields: Fields) -> list[str]:
    """Problems of a launcher file that Ray would accept."""
    found = list(secret_problems(fields))
    types = fields["available_node_types"]
    head, worker = (
        next(each for each in fields[f"{kind}_start_ray_commands"] if "ray start" in each)
        for kind in ("head", "worker")
    )
    options = fields["docker"]["run_options"]
    for name, each in types.items():
        if not 0 <= each.get("min_workers", 0) <= each.get("max_workers", fields["max_workers"]):
            found.append(f"{name}: workers out of order")
    if sum(each.get("max_workers", 0) for each in types.values()) > fields["max_workers"]:
        found.append("max_workers is less than that of the groups")
    if not any(each["resources"].get("GPU") for each in types.values()):
        found.append("no group with GPUs")
    if types[fields["head_node_type"]]["resources"].get("CPU") != 0:
        found.append("slots on the head")
    if not fields["docker"]["image"].endswith(f":{RAY}"):
        found.append(f"the image's tag is not {RAY}")
    if "--env RAY_AUTH_MODE=token" not in options:
        found.append("RAY_AUTH_MODE is not token")
    if "/home/ray/.ray/auth_token" not in fields.get("file_mounts", {}):
        found.append("the token is not mounted")
    if "--dashboard-host=127.0.0.1" not in head:
        found.append("the dashboard is not bound to loopback")
    if "RAY_enable_autoscaler_v2=1" not in head:
        found.append("not autoscaled by v2")
    sizes = [num_bytes(each.removeprefix("--shm-size=")) for each in options if each.startswith("--shm-size=")]
    for command in (head, worker):
        wanted = re.search(r"--object-store-memory=(\d+)", command)
        if not wanted or not sizes or int(wanted[1]) > sizes[0]:
            found.append("the object store does not fit into /dev/shm")
    return found


def problems(name: str, fields: Fields) -> list[str]:
    return launcher_problems(fields) if name == "aws.yaml" else kuberay_problems(fields)


@pytest.mark.parametrize("name", [*KUBERAY, "aws.yaml"])
def test_the_rules_beyond_the_schemas_hold(name: str):
    assert problems(name, read(name)) == []


HEAD = "spec.headGroupSpec"
POD = f"{WORKER}.template.spec"
CONTAINER = f"{POD}.containers.0"
PLAIN = {"name": "ASSAY_LEDGER", "value": "s3://bucket/ledger"}
BREAKAGES: list[tuple[str, str, Any, str]] = [
    ("raycluster.yaml", f"{WORKER}.minReplicas", 17, "gpu: replicas out of order"),
    ("raycluster.yaml", f"{WORKER}.replicas", 17, "gpu: replicas out of order"),
    ("raycluster.yaml", f"{CONTAINER}.resources.requests.nvidia|com/gpu", "2", "gpu: requests are not limits"),
    ("raycluster.yaml", f"{CONTAINER}.resources.requests.memory", "1Gi", "gpu: requests are not limits"),
    ("raycluster.yaml", "spec.workerGroupSpecs", [], "no group with GPUs"),
    ("raycluster.yaml", "spec.rayVersion", "2.59.0", f"rayVersion is not {RAY}"),
    ("raycluster.yaml", f"{CONTAINER}.image", "rayproject/ray:latest", f"gpu: the image's tag is not {RAY}"),
    ("raycluster.yaml", f"{CONTAINER}.image", "rayproject/ray", f"gpu: the image's tag is not {RAY}"),
    ("raycluster.yaml", f"{POD}.tolerations", ABSENT, "gpu: the taint of GPU nodes is not tolerated"),
    ("raycluster.yaml", f"{POD}.restartPolicy", "Always", "gpu: restarted by Kubernetes"),
    ("raycluster.yaml", f"{POD}.volumes", ABSENT, "gpu: the object store does not fit into /dev/shm"),
    ("raycluster.yaml", f"{CONTAINER}.volumeMounts", ABSENT, "gpu: the object store does not fit into /dev/shm"),
    ("raycluster.yaml", f"{POD}.volumes.0.emptyDir.medium", "", "gpu: the object store does not fit into /dev/shm"),
    (
        "raycluster.yaml",
        f"{POD}.volumes.0.emptyDir.sizeLimit",
        "6Gi",
        "gpu: the object store does not fit into /dev/shm",
    ),
    # Without a size, Ray takes 30 % of the memory, whatever the size of /dev/shm.
    ("raycluster.yaml", f"{WORKER}.rayStartParams", {}, "gpu: the object store does not fit into /dev/shm"),
    ("raycluster.yaml", f"{POD}.volumes.0.emptyDir.sizeLimit", "28Gi", "gpu: /dev/shm leaves no memory"),
    ("raycluster.yaml", f"{CONTAINER}.env", [PLAIN], "gpu: the ledger's location is not from a Secret"),
    ("raycluster.yaml", f"{CONTAINER}.env", ABSENT, "gpu: the ledger's location is not from a Secret"),
    ("raycluster.yaml", f"{CONTAINER}.env.2", {"name": "AWS_ACCESS_KEY_ID", "value": "A"}, "a secret in plain text"),
    ("raycluster.yaml", f"{CONTAINER}.env.2", {"name": "P", "value": "http://me:pass@proxy"}, "a secret in plain text"),
    ("rayjob.yaml", "spec.runtimeEnvYAML", "env_vars: {HF_TOKEN: hf_x}", "a secret in plain text"),
    ("rayjob.yaml", "spec.entrypoint", "RAY_AUTH_TOKEN=x assay run experiment.yaml", "a secret in plain text"),
    ("rayjob.yaml", "spec.metadata", {"password": "x"}, "a secret in plain text"),
    ("raycluster.yaml", "spec.authOptions", ABSENT, "no token from a Secret"),
    ("raycluster.yaml", "spec.authOptions.mode", "disabled", "no token from a Secret"),
    ("raycluster.yaml", "spec.authOptions.secretName", ABSENT, "no token from a Secret"),
    ("raycluster.yaml", f"{CONTAINER}.env.2", {"name": "RAY_AUTH_MODE", "value": ""}, "RAY_AUTH_MODE is not token"),
    ("raycluster.yaml", f"{HEAD}.serviceType", "LoadBalancer", "the dashboard is exposed by its service"),
    (
        "raycluster.yaml",
        f"{HEAD}.headService",
        {"spec": {"type": "NodePort"}},
        "the dashboard is exposed by its service",
    ),
    ("raycluster.yaml", f"{HEAD}.enableIngress", True, "the dashboard is exposed by its service"),
    ("raycluster.yaml", f"{HEAD}.rayStartParams.dashboard-host", "0.0.0.0", "the dashboard is not bound to loopback"),
    # KubeRay's default is all interfaces.
    ("raycluster.yaml", f"{HEAD}.rayStartParams.dashboard-host", ABSENT, "the dashboard is not bound to loopback"),
    ("rayjob.yaml", f"{JOB_WORKER}.template.metadata.labels", {}, "the network policy does not select every pod"),
    ("raycluster.yaml", f"{HEAD}.template.spec.hostNetwork", True, "a pod in the node's network"),
    ("raycluster.yaml", f"{HEAD}.template.spec.containers.0.ports.1.hostPort", 8265, "a pod in the node's network"),
    ("raycluster.yaml", f"{HEAD}.rayStartParams.num-cpus", "4", "slots on the head"),
    ("raycluster.yaml", "spec.autoscalerOptions.version", "v1", "not autoscaled by v2"),
    ("rayjob.yaml", "spec.rayClusterSpec.enableInTreeAutoscaling", False, "not autoscaled by v2"),
    ("aws.yaml", "available_node_types.gpu.min_workers", 17, "gpu: workers out of order"),
    ("aws.yaml", "max_workers", 23, "max_workers is less than that of the groups"),
    ("aws.yaml", "available_node_types.gpu.resources.GPU", 0, "no group with GPUs"),
    ("aws.yaml", "available_node_types.head.resources", {}, "slots on the head"),
    ("aws.yaml", "docker.image", "rayproject/ray:2.59.0", f"the image's tag is not {RAY}"),
    ("aws.yaml", "docker.run_options.2", "--env RAY_AUTH_MODE=disabled", "RAY_AUTH_MODE is not token"),
    ("aws.yaml", "docker.run_options.3", "--env RAY_AUTH_TOKEN=0123", "a secret in plain text"),
    ("aws.yaml", "file_mounts", {}, "the token is not mounted"),
    ("aws.yaml", "docker.run_options.1", "--shm-size=4g", "the object store does not fit into /dev/shm"),
    ("aws.yaml", "docker.run_options.1", "--rm", "the object store does not fit into /dev/shm"),
    (
        "aws.yaml",
        "head_start_ray_commands.1",
        "ray start --dashboard-host=0.0.0.0",
        "the dashboard is not bound to loopback",
    ),
    ("aws.yaml", "head_start_ray_commands.1", "ray start --head", "not autoscaled by v2"),
]


@pytest.mark.parametrize(
    ("name", "place", "value", "problem"), BREAKAGES, ids=[f"{n}-{each[3]}" for n, each in enumerate(BREAKAGES)]
)
def test_each_rule_fails_when_it_is_broken(name: str, place: str, value: Any, problem: str):
    assert any(problem in found for found in problems(name, broken(name, place, value)))


# Consistency between the files, and with the code


def test_a_job_has_the_standing_clusters_nodes_but_none_before_it_asks():
    standing, job = read("raycluster.yaml")["spec"], read("rayjob.yaml")["spec"]["rayClusterSpec"]
    assert job["headGroupSpec"]["rayStartParams"].pop("dashboard-host") == "0.0.0.0"
    assert standing["headGroupSpec"]["rayStartParams"].pop("dashboard-host") == "127.0.0.1"
    for group in standing["workerGroupSpecs"]:
        group["minReplicas"] = group["replicas"] = 0
    assert job == standing


def test_the_network_policy_lets_in_the_pods_themselves_and_the_operator_at_the_dashboard_only():
    policy = read("networkpolicy.yaml")["spec"]
    among, operator = policy["ingress"]
    assert policy["policyTypes"] == ["Ingress"]
    assert among == {"from": [{"podSelector": policy["podSelector"]}]}
    assert [each["podSelector"]["matchLabels"] for each in operator["from"]] == [
        {"app.kubernetes.io/name": "kuberay-operator"}
    ]
    assert [each["port"] for each in operator["ports"]] == [8265]


def test_the_ledger_comes_by_the_variable_that_the_command_line_reads():
    from assay.cluster.cli import options

    assert get_args(options.LedgerAt)[1].envvar == "ASSAY_LEDGER"


def test_the_job_runs_a_verb_that_there_is():
    from assay.cluster.cli.main import app

    command, verb, _ = read("rayjob.yaml")["spec"]["entrypoint"].split()
    assert command == "assay"
    assert verb in {
        name for name, each in typer.main.get_command(app).commands.items() if not hasattr(each, "commands")
    }


def test_the_image_is_rays_own_in_the_same_version_and_takes_what_the_package_needs():
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    base = re.search(r"^FROM rayproject/ray:(\S+)-py311-gpu$", dockerfile, re.MULTILINE)
    assert base
    assert base[1] == RAY
    assert f"assay:{RAY} " in dockerfile
    copied = {
        source for line in re.findall(r"^COPY \S+ (.*) \S+$", dockerfile, re.MULTILINE) for source in line.split()
    }
    assert all((ROOT / source).exists() for source in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    links = {each.readlink().name for each in (ROOT / ".package/assay").iterdir() if each.is_symlink()}
    assert {
        ".package",
        *links,
        "pyproject.toml",
        project["project"]["readme"],
        *project["project"]["license-files"],
    } <= copied


def test_the_readmes_five_commands_name_what_the_files_say():
    text = (ROOT / "cluster" / "README.md").read_text()
    commands = next(block for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if "kubectl" in block)
    files = re.findall(r"--file(?:name)? (\S+)", commands)
    assert len(commands.strip().splitlines()) == 5
    assert len(files) == 3
    assert all((ROOT / file).is_file() for file in files)
    cluster = read("raycluster.yaml")
    name, secret = cluster["metadata"]["name"], cluster["spec"]["authOptions"]["secretName"]
    assert f"service/{name}-head-svc 8265" in commands
    assert f"create secret generic {secret} --from-literal=auth_token=" in commands
    assert f"get secret {secret} " in commands
    assert f"--tag {cluster['spec']['headGroupSpec']['template']['spec']['containers'][0]['image']} " in commands
