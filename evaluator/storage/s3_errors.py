"""Errors of S3, turned into Assay's own: one message per kind, with its remedy."""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004  # botocore's own
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ResponseStreamingError,
    TokenRetrievalError,
)

from assay.evaluator.errors import OutageError, StoreError
from assay.evaluator.storage.deadline import BYTES_PER_S, Deadline, DeadlineError
from assay.manifests.errors import AssayError, shortened

_TAKEN = frozenset({"PreconditionFailed", "412"})
_CONFLICT = frozenset({"ConditionalRequestConflict", "409"})
_PASSING = frozenset(
    {"RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete", "SlowDown", "Throttling", "BadDigest"}
)
_KEYS = "correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile that AWS_PROFILE names"
_RENEW = "renew the temporary credentials (for example with 'aws sso login'), then run the same command again"
_REGION = "set AWS_DEFAULT_REGION to the bucket's region, or correct the endpoint"
_REMEDIES = {
    "NoSuchBucket": "create the bucket, or correct its name or the endpoint",
    "AccessDenied": "allow these credentials s3:GetObject, s3:PutObject and s3:ListBucket on the bucket",
    "AllAccessDisabled": "allow these credentials s3:GetObject, s3:PutObject and s3:ListBucket on the bucket",
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "InvalidToken": _RENEW,
    "ExpiredToken": _RENEW,
    "ExpiredTokenException": _RENEW,
    "TokenRefreshRequired": _RENEW,
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
}
_LATER = "the service is overloaded or down: run the same command again later"
_ENDPOINT = "check the endpoint (AWS_ENDPOINT_URL_S3, ~/.aws/config) and the network, then run the same command again"
_FOREIGN = "check the endpoint (AWS_ENDPOINT_URL_S3, ~/.aws/config): this may be a proxy or another service"
_SHOWN = 300


class TakenError(Exception):
    """The key already has an object."""


class ConflictError(Exception):
    """Another upload of the same key is in progress; retry."""


class ForeignAnswerError(Exception):
    """An answer that S3 would not give."""


@contextmanager
def s3_errors(place: str, *, endpoint: Callable[[], str], deadline: Deadline, reads: bool = False) -> Iterator[None]:
    """Turns whatever the client raises into Assay's errors.

    Args:
        place: What is attempted, for messages: "s3://bucket: 'key' cannot be read".
        endpoint: Returns the server's URL.
        deadline: The deadline of the calls in the block.
        reads: Whether an object is read, which may not exist.

    Raises:
        FileNotFoundError: The object that is read does not exist.
        TakenError, ConflictError: A condition of the request does not hold.
        OutageError: The server does not answer in time, breaks off, or reports a temporary failure.
        StoreError: Anything else.
    """
    try:
        yield
    except (AssayError, TakenError, ConflictError):
        raise
    except DeadlineError:
        too_slow = (
            f"did not answer completely within {deadline.limit_s:g} s"
            if deadline.num_received is None
            else f"answers too slowly: {deadline.num_received:,} bytes in {deadline.spent_s:.0f} s, but after "
            f"{deadline.limit_s:g} s at least {BYTES_PER_S:,} bytes per second are needed"
        )
        raise OutageError(f"{place}: {_plain(endpoint())} {too_slow}; {_ENDPOINT}") from None
    except ClientError as error:
        if reads and error.response.get("Error", {}).get("Code") == "NoSuchKey":
            raise FileNotFoundError(place) from None
        raise _of_code(error, place) from error
    except (IncompleteReadError, ResponseStreamingError) as error:
        raise OutageError(f"{place}: the answer broke off ({_plain(error)}); {_ENDPOINT}") from error
    except (ConnectionError, HTTPClientError) as error:
        raise OutageError(f"{place}: {_plain(error)}; {_ENDPOINT}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise StoreError(f"{place}: {_plain(error)}; {_KEYS}") from error
    except (CredentialRetrievalError, TokenRetrievalError) as error:
        raise StoreError(f"{place}: {_plain(error)}; {_RENEW}") from error
    except RecursionError:
        raise StoreError(f"{place}: {_plain(endpoint())} redirects requests in a circle; {_FOREIGN}") from None
    except ForeignAnswerError as error:
        raise StoreError(f"{place}: {_plain(endpoint())} {error}; {_FOREIGN}") from None
    except BotoCoreError as error:
        raise StoreError(f"{place}: {_plain(error)}") from error
    except Exception as error:  # whatever parsing an arbitrary answer may raise
        raise StoreError(
            f"{place}: {_plain(endpoint())} gave an answer that cannot be read "
            f"({type(error).__name__}: {_plain(error)}); {_FOREIGN}"
        ) from error


def require_s3(answer: dict[str, Any], field: str) -> None:
    """Refuses an answer without a field that S3 always gives.

    Raises:
        ForeignAnswerError: The field is missing, or the answer is a web page.
    """
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    content_type = str(headers.get("content-type", "no type"))
    if answer.get(field) is None or content_type.startswith("text/html"):
        raise ForeignAnswerError(f"gave an answer that is not S3's ({shortened(content_type)}, no {field})")


def _of_code(error: ClientError, place: str) -> Exception:
    """The error for an answer with an error code."""
    answer: Any = error.response
    code, said = (str(answer.get("Error", {}).get(name) or "") for name in ("Code", "Message"))
    metadata = answer.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode") or 0)
    if code in _TAKEN:
        return TakenError()
    if code in _CONFLICT:
        return ConflictError()
    text = f"{place}: {_plain(f'{code}: {said}' if code else f'HTTP {status}')}"
    has_document = code not in ("", str(status))  # otherwise botocore fills in the status as the code
    if status >= 500 or status == 429 or code in _PASSING:
        return OutageError(f"{text}; {_LATER}{'' if has_document else f'; or {_FOREIGN}'}")
    if code in ("RequestTimeTooSkewed", "RequestExpired"):
        now = dt.datetime.now(dt.UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        theirs = metadata.get("HTTPHeaders", {}).get("date", "something else")
        return StoreError(f"{text}; set this machine's clock, which says {now}; the server's says {theirs}")
    if not has_document:
        moved = metadata.get("HTTPHeaders", {}).get("location")
        to = f"redirects to {_plain(moved)}" if moved else "gave an answer that is not S3's"
        return StoreError(f"{text}: the server {to}; {_FOREIGN}")
    return StoreError("; ".join(filter(None, (text, _REMEDIES.get(code, "")))))


def _plain(text: object) -> str:
    """A text of a library or a server in one line, cut, and without credentials in URLs."""
    return shortened(re.sub(r"//[^/@\s]*@", "//", " ".join(str(text).split())), limit=_SHOWN)
