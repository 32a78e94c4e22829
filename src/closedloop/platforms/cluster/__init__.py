"""Kubernetes: a kind cluster of its own, or any cluster by its context."""
