"""Processes, probed and started again, as pods with addresses of their own; and their logs."""
