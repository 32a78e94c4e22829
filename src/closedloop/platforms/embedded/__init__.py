"""One machine, no Docker, no Kubernetes: real parts, run from the manifests a cluster gets."""
