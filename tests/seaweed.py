"""A real S3 server (SeaweedFS) on loopback; it is started on demand and stopped by its process ID."""

import contextlib
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ACCESS_KEY, SECRET_KEY, BUCKET = "assay-test", "assay-test-secret", "assay"
_START_LIMIT_S = 90
_STOP_LIMIT_S = 1


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Attributes:
        endpoint: Its URL.
        log: The path of its log, which includes the requests.
    """

    endpoint: str
    log: Path

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables through which boto3 finds the server."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def _free_ports(num_ports: int) -> list[int]:
    """Free ports for which the port 10,000 above is free as well, because each server also listens there.

    They are drawn at random, so that processes that search at the same time find different ones. Both ports lie below
    32,768, where the ephemeral ports of connections begin.
    """
    ports: list[int] = []
    with contextlib.ExitStack() as stack:
        for port in random.sample(range(20_000, 22_700), k=200):
            sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
            try:
                sockets[0].bind(("127.0.0.1", port))
                sockets[1].bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            ports.append(port)
            if len(ports) == num_ports:
                break
    return ports


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    """Starts SeaweedFS and creates a bucket; stops the server when the context ends."""
    with tempfile.TemporaryDirectory(prefix="assay-s3-", ignore_cleanup_errors=True) as folder:
        top = Path(folder)
        (top / "data").mkdir()
        identity = {
            "name": "test",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (top / "s3.json").write_text(json.dumps({"identities": [identity]}))
        master, volume, filer, s3 = _free_ports(4)
        command = [
            str(Path(sys.executable).parent / "weed"), "-logtostderr=true", "-v=0", "server",
            f"-dir={top / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}",
            "-s3", f"-s3.config={top / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false",
            "-master.raftHashicorp=true", "-master.telemetry=false", "-volume.max=0",
            "-master.volumeSizeLimitMB=1024", "-volume.preStopSeconds=0",
        ]  # fmt: skip
        log = top / "weed.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, cwd=top)
        try:
            server = S3Server(f"http://127.0.0.1:{s3}", log)
            _wait_until_ready(server, process)
            _make_bucket(server)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for leftover in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{s3}.sock"):
                leftover.unlink(missing_ok=True)


def _wait_until_ready(server: S3Server, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        with (
            contextlib.suppress(OSError, urllib.error.URLError),
            urllib.request.urlopen(f"{server.endpoint}/healthz", timeout=2) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise RuntimeError(
        f"the S3 server did not start within {_START_LIMIT_S} s, or ended:\n{server.log.read_text()[-2000:]}"
    )


def _make_bucket(server: S3Server) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
    )
    client.create_bucket(Bucket=BUCKET)
    client.put_object(
        Bucket=BUCKET, Key="warm-up", Body=b"x"
    )  # the first write takes seconds, because it allocates volumes
