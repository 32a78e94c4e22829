"""Prometheus and Alertmanager: the programs, and their configuration from the manifests."""
