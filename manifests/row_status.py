"""Row status: whether an arm has answered a row, and if not, why."""

from typing import Literal, get_args

RowStatus = Literal["ok", "invalid", "refused", "truncated", "timeout", "error"]
"""ok: the row has an answer and is scored. invalid: the output is not one that the variant declares, such as NaN.
refused: the variant declined to answer. truncated: the answer was cut off. timeout: it took too long. error: computing
it failed. Every status but `ok` means that the row could not be measured, not that the answer is wrong."""

ROW_STATUSES: tuple[RowStatus, ...] = get_args(RowStatus)
