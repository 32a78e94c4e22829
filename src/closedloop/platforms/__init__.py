"""Where the suite runs: a Kubernetes cluster, or one machine with real parts."""
