"""The live page: the loop in a browser, with controls that ask the same code as the notebooks."""
