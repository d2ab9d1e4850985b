"""Normal text: texts as a reader compares them, without case, white space and Unicode forms."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def normal(texts: Any) -> Any:
    """Texts in Unicode's compatible form NFKC and lower case, every run of white space one space, none at the ends.

    Args:
        texts: An Arrow array of texts, shape (rows,); no text stays none.

    Returns:
        An Arrow array, shape (rows,).
    """
    lower = pc.utf8_lower(pc.utf8_normalize(texts.cast(pa.large_string()), form="NFKC"))  # pyright: ignore[reportAttributeAccessIssue]
    words = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(lower))
    return pc.binary_join(words, pa.scalar(" ", pa.large_string()))
