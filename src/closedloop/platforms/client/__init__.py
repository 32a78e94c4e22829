"""The client of a Kubernetes API server, the same for every platform."""
