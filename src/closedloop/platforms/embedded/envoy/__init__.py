"""Envoy: the gateway, and the proxy behind every Service; its configuration as watched files."""
