"""The kinds that the embedded platform has; `table` is the one list of them."""
