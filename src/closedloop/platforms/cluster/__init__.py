"""A Kubernetes cluster: kind on this machine, or any that a kubeconfig names."""
