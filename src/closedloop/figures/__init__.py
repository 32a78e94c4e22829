"""The pictures in README and notebooks: two diagrams, and figures taken from an executed run."""
