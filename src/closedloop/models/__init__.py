"""The models: how they are trained, served by Seldon's wrapper, and keep score of themselves.

This runs in the model servers' own environment, with Seldon's old pins: beside
the standard library it may use the packages of `docker/iris/requirements.txt`,
and of ours only the pure modules.
"""
