"""A Ray head with token authentication for tests, and experiments to submit to it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from assay import Client
from assay.cluster.errors import RunError
from assay.manifests import InvalidInput
from tests import builders
from tests.ray_start import Place, ray_start


@dataclass(frozen=True)
class Head:
    """A running head.

    Attributes:
        address: URL of its dashboard.
        token: The token that every client needs.
        folder: Folder of its session: logs, sockets, packages.
        variables: Environment variables that it has in addition to ours.
    """

    address: str
    token: str
    folder: Path
    variables: Mapping[str, str]

    def client(self) -> Client:
        """A client with the token."""
        return Client(self.address, self.token)


@contextmanager
def ray_head(token: str, variables: Mapping[str, str]) -> Iterator[Head]:
    """A head on free ports with its own folder; it ends with the context.

    Args:
        token: The token that `variables` contain.
        variables: Environment variables in addition to ours, of which Ray's are removed.
    """

    def is_up(place: Place) -> bool:
        try:
            Client(place.dashboard, token).find("nothing-yet")
        except InvalidInput:
            return True
        except RunError:
            pass
        return False

    variables = {"RAY_AUTH_MODE": "token", **variables}
    with ray_start(lambda _place: ["--num-cpus=2"], variables=variables, is_up=is_up) as place:
        yield Head(place.dashboard, token, place.folder, variables)


def with_code_apart(folder: Path, **options) -> tuple[Path, Path]:
    """An experiment, and a separate folder with the code of its entrypoints."""
    experiment = builders.write_experiment(folder / "experiment", **options)
    code = folder / "code"
    code.mkdir(exist_ok=True)
    (folder / "experiment" / "variants_under_test.py").replace(code / "variants_under_test.py")
    return experiment, code
