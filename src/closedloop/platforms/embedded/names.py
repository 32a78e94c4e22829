"""How objects are named: by key, for people, and in paths at the gateway."""


def key(kind: str, name: str, namespace: str) -> str:
    """The key of an object, which for most kinds is in a namespace."""
    if kind == "Namespace":
        return f"{kind}/{name}"
    return f"{kind}/{namespace or 'default'}/{name}"


def short(of: str) -> str:
    """`kind/name` of a key."""
    kind, _, rest = of.partition("/")
    return f"{kind}/{rest.rpartition('/')[2]}"


def prefix(path: str) -> str:
    """The path at the gateway of SeldonDeployment `namespace/name`, as its operator sets it."""
    return f"/seldon/{path}/"
