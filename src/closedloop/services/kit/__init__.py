"""Shared by the services: settings, receiving, declared outputs, metric labels, errors."""
