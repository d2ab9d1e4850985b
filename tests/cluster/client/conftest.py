"""One Ray head with token authentication for every test that submits to it."""

import secrets
from collections.abc import Iterator

import pytest

from tests.ray_head import Head, ray_head
from tests.seaweed import S3Server


@pytest.fixture(scope="session")
def head(tmp_path_factory, s3: S3Server) -> Iterator[Head]:
    """The head. Its environment contains secrets: a token, a password and the keys of a bucket."""
    token_file = tmp_path_factory.mktemp("token") / "token"
    token_file.write_text(secrets.token_hex(32))
    variables = {
        "RAY_AUTH_TOKEN_PATH": str(token_file),
        "DATABASE_PASSWORD": secrets.token_hex(16),
        **s3.variables,
    }
    with ray_head(token_file.read_text(), variables) as running:
        yield running
