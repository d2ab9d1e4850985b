"""Normal text: texts normalised for comparison, without differences in case, white space and Unicode form."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def normal(texts: Any) -> Any:
    """Texts in Unicode NFKC and lower case, with single spaces for runs of white space and none at the ends.

    Args:
        texts: An Arrow array of texts, shape (rows,); nulls stay null.

    Returns:
        An Arrow array, shape (rows,).
    """
    lower = pc.utf8_lower(pc.utf8_normalize(texts.cast(pa.large_string()), form="NFKC"))  # pyright: ignore[reportAttributeAccessIssue]
    words = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(lower))
    return pc.binary_join(words, pa.scalar(" ", pa.large_string()))
