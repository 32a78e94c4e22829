"""The embedded platform's API server: Kubernetes' API over the processes of one machine.

`store` keeps objects and their changes, `writing` and its `patching/` make one
object of another, `mirror/` keeps the objects that a cluster's controllers
would write, and `app` answers requests.
"""
