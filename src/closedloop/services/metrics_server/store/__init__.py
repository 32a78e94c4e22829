"""The rows on local disk: the mappings that scoreboards work on, and their counts beside them."""
