"""Running the notebooks: set up a platform, execute, report, and make slides of the result."""
