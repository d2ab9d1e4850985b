"""Quoting: whether the quotes and line ends of delimited text determine where its cells and rows end.

If every quote at an even index opens a cell and every quote at an odd index closes one, a row ends exactly at the
newlines that have an even number of quotes before them. A doubled quote inside a cell closes and reopens it, so it
needs no rule of its own. All checks use the positions of quotes, newlines and carriage returns only.
"""

import numpy as np

from assay.evaluator.data.ingest.blocks import NEWLINE, QUOTE, RETURN, Block
from assay.evaluator.errors import DataError

_REMEDY = "double a quote inside a quoted cell, and quote a cell that contains one"


def require_quotes_in_place(block: Block, *, name: str, delimiter: str) -> None:
    """Refuses quotes that neither open nor close a cell, and cells that are never closed.

    Raises:
        DataError: There is one; the error names the line and shows an excerpt.
    """
    quotes = block.quotes
    if not quotes.size:
        return
    content = np.frombuffer(block.content, np.uint8)
    opening, closing = quotes[0::2], quotes[1::2]
    may_open = np.zeros(256, np.bool_)
    may_open[[ord(delimiter), NEWLINE, QUOTE]] = True
    may_close = may_open.copy()
    may_close[RETURN] = True
    before = np.where(opening > 0, content[opening - 1], NEWLINE)
    stray = opening[~may_open[before]]
    after = np.where(closing + 1 < content.size, content[np.minimum(closing + 1, content.size - 1)], NEWLINE)
    torn = np.flatnonzero(~may_close[after])
    if torn.size and (not stray.size or opening[torn[0]] <= stray[0]):
        start, stop = int(opening[torn[0]]), int(closing[torn[0]])
        problem = f"a quoted cell is followed by text (its closing quote is in line {block.line(stop)})"
        raise _refusal(problem, block, start, name=name, remedy=f"{_REMEDY}; or is the cell not closed?")
    if stray.size:
        raise _refusal("a quote inside a cell that is not quoted", block, int(stray[0]), name=name, remedy=_REMEDY)
    if quotes.size % 2:
        raise _refusal("a quoted cell is never closed", block, int(quotes[-1]), name=name, remedy=_REMEDY)


def line_end(block: Block, *, name: str, so_far: bytes) -> bytes:
    """The line end of the rows of a block whose quotes are in place; it must be the same in the whole file.

    Args:
        block: The block.
        name: The file's name, for messages.
        so_far: The line end of earlier blocks; empty if there were none.

    Returns:
        A newline, or carriage return and newline; empty if no row has ended yet.

    Raises:
        DataError: Some row has another line end.
    """
    returns, newlines = block.unquoted(RETURN), block.row_ends
    stray = returns[~np.isin(returns + 1, newlines, assume_unique=True)]
    if stray.size:
        raise _refusal(
            "a carriage return without a newline",
            block,
            int(stray[0]),
            name=name,
            remedy="end all lines with \\n, or all with \\r\\n; quote a cell that contains one",
        )
    if not newlines.size:
        return so_far
    has_return = np.zeros(newlines.size, np.bool_)
    if returns.size:
        has_return = np.isin(newlines - 1, returns, assume_unique=True)
    end = so_far or (b"\r\n" if has_return[0] else b"\n")
    other = newlines[has_return] if end == b"\n" else newlines[~has_return]
    if other.size:
        kinds = ("\\n", "\\r\\n")
        this, those = kinds if end == b"\r\n" else kinds[::-1]
        raise _refusal(
            f"the line ends with {this}, earlier lines with {those}",
            block,
            int(other[0]),
            name=name,
            remedy="were two files concatenated? convert the line ends",
        )
    return end


def _refusal(problem: str, block: Block, position: int, *, name: str, remedy: str) -> DataError:
    line_start = block.content.rfind(b"\n", 0, position) + 1
    excerpt = block.content[max(line_start, position - 20) : position + 40].decode("utf-8", "replace")
    return DataError(problem, place=f"{name}:{block.line(position)}", value=excerpt.rstrip("\r\n"), remedy=remedy)
