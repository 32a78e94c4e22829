"""Programs that take the place of kind, helm and docker on PATH.

They write every call into a file and keep clusters, releases and the faults
that a test asks for in another.
"""

import json
import stat
import sys
from pathlib import Path
from typing import Any

# Started hundreds of times: without what a start and an import take.
_PROGRAM = """#!{python} -IS
import json, os, sys
home = {home!r} + "/"
name, *arguments = os.path.basename(sys.argv[0]), *sys.argv[1:]

def read(path):
    with open(path) as file:
        return file.read()

def write(path, text):
    with open(path, "w") as file:
        file.write(text)

line = " ".join([name, *arguments])
if not sys.stdin.isatty() and "-" in arguments:
    line += " < " + sys.stdin.read().strip().replace("\\n", "; ")
with open(home + "calls", "a") as calls:
    calls.write(line + "\\n")
state = json.loads(read(home + "state"))

def save():
    write(home + "state", json.dumps(state))

def flag(word):
    return arguments[arguments.index(word) + 1] if word in arguments else ""

for text, fault in list(state["faults"].items()):
    if text in line and fault["times"]:
        fault["times"] -= 1
        save()
        if fault["hang"]:
            import time
            time.sleep(600)
        sys.stderr.write(fault["stderr"] + "\\n")
        sys.exit(1)

def send(method, thing):
    import urllib.request
    place = thing["metadata"].get("namespace")
    path = f"/apis/{{thing['apiVersion']}}" + (f"/namespaces/{{place}}" if place else "")
    path += "/" + thing["kind"].lower() + "s"
    if method == "DELETE":
        path += "/" + thing["metadata"]["name"]
    body = json.dumps(thing).encode() if method == "POST" else None
    try:
        urllib.request.urlopen(
            urllib.request.Request(state["api"] + path, body, method=method)).close()
    except urllib.error.HTTPError as error:
        if error.code not in (404, 409):
            raise

def fail(text):
    sys.stderr.write(text + "\\n")
    sys.exit(1)

if name == "kind":
    if arguments == ["version"]:
        print("kind v0.33.0 go1.25.1 linux/amd64")
    elif arguments == ["get", "clusters"]:
        print("\\n".join(state["clusters"]))
    elif arguments[:2] == ["create", "cluster"]:
        state["clusters"].append(flag("--name"))
        save()
        write(flag("--kubeconfig"), state["kubeconfig"])
    elif arguments[:2] == ["delete", "cluster"]:
        state["clusters"] = [c for c in state["clusters"] if c != flag("--name")]
        save()
elif name == "docker":
    if arguments[:1] == ["info"]:
        print(json.dumps(state["docker"]))
elif name == "helm":
    key = arguments[2] if arguments[0] in ("upgrade", "get") else arguments[1]
    key = flag("--namespace") + "/" + key
    release = state["releases"].get(key)
    if arguments[0] == "version":
        print("v3.19.2+gabc")
    elif arguments[0] == "pull":
        write(f"{{flag('--destination')}}/{{arguments[1]}}-{{flag('--version')}}.tgz", "chart")
    elif arguments[:2] == ["show", "crds"]:
        print(state["crds"].get(os.path.basename(arguments[2]), ""))
    elif arguments[0] == "get":
        if release is None:
            fail("Error: release: not found")
        print(json.dumps(release["values"] if arguments[1] == "values" else release))
    elif arguments[0] == "upgrade":
        sys.path.insert(0, state["yaml"])
        import yaml
        values = {{}}
        def merge(a, b):
            for k, v in b.items():
                a[k] = merge(a[k], v) if isinstance(v, dict) and isinstance(a.get(k), dict) else v
            return a
        for word, path in zip(arguments, arguments[1:]):
            if word == "--values" and path != "-":
                merge(values, yaml.safe_load(read(path)) or {{}})
        chart = os.path.basename(arguments[3])
        chart = chart.removesuffix(".tgz").removesuffix("-" + flag("--version"))
        state["releases"][key] = {{
            "chart": chart, "version": flag("--version"), "status": "deployed", "values": values}}
        save()
        for thing in state["made"].get(arguments[2], []):
            send("POST", thing)
    elif arguments[0] == "uninstall":
        if state["releases"].pop(key, None) is None:
            fail("Error: uninstall: Release not loaded: release: not found")
        save()
        for thing in state["made"].get(arguments[1], []):
            if "annotations" in thing["metadata"] and thing["kind"][:6] == "Custom":
                continue  # Istio's definitions have the policy `keep`
            send("DELETE", thing)
    elif arguments[0] == "rollback":
        release["status"] = "deployed"
        save()
"""


def workload(kind: str, name: str, namespace: str, release: str) -> dict[str, Any]:
    """A Deployment or StatefulSet as a chart makes it."""
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {
                "meta.helm.sh/release-name": release,
                "meta.helm.sh/release-namespace": namespace,
            },
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": f"example/{name}:1.2.3"}]},
            },
        },
    }


def definition(plural: str, kind: str, group: str, release: str = "") -> dict[str, Any]:
    """A CustomResourceDefinition; of a release when one is named."""
    notes = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": "istio-system"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            **({"annotations": notes} if release else {}),
        },
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural},
            "versions": [{"name": "v1", "served": True}],
        },
    }


_PROMETHEUS = "monitoring-kube-prometheus"
_MADE = {
    "istio-base": [definition("gateways", "Gateway", "networking.istio.io", "istio-base")],
    "istiod": [workload("Deployment", "istiod", "istio-system", "istiod")],
    "istio-ingressgateway": [
        workload("Deployment", "istio-ingressgateway", "istio-system", "istio-ingressgateway")
    ],
    "monitoring": [
        workload("Deployment", f"{_PROMETHEUS}-operator", "monitoring", "monitoring"),
        workload("Deployment", "monitoring-grafana", "monitoring", "monitoring"),
        workload("StatefulSet", f"prometheus-{_PROMETHEUS}-prometheus", "monitoring", "monitoring"),
        workload(
            "StatefulSet", f"alertmanager-{_PROMETHEUS}-alertmanager", "monitoring", "monitoring"
        ),
    ],
    "seldon-core": [
        workload("Deployment", "seldon-controller-manager", "seldon-system", "seldon-core"),
        definition("seldondeployments", "SeldonDeployment", "machinelearning.seldon.io"),
    ],
}


class StandIns:
    """The programs, in `folder/bin`."""

    def __init__(self, folder: Path, *, api: str = "", kubeconfig: str = "") -> None:
        self._folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        text = _PROGRAM.format(python=sys.executable, home=str(folder))
        for name in ("kind", "helm", "docker"):
            program = self.bin / name
            program.write_text(text)
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        (folder / "calls").touch()
        self._write(
            {
                "api": api,
                "kubeconfig": kubeconfig,
                "clusters": [],
                "releases": {},
                "crds": {},
                "faults": {},
                "made": _MADE,
                "docker": {
                    "NCPU": 8,
                    "MemTotal": 16 << 30,
                    "DockerRootDir": str(folder),
                    "ServerVersion": "28.0.0",
                },
                "yaml": next(path for path in sys.path if path.endswith("site-packages")),
            }
        )

    def calls(self, program: str = "") -> list[str]:
        """The command lines, in order."""
        lines = (self._folder / "calls").read_text().splitlines()
        return [line for line in lines if line.startswith(program)]

    def forget(self) -> None:
        (self._folder / "calls").write_text("")

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self._folder / "state").read_text())
        return found

    def change(self, **values: Any) -> None:
        self._write({**self.state, **values})

    def fail(self, text: str, stderr: str, times: int = 1, *, hang: bool = False) -> None:
        """Calls that contain `text` fail so often."""
        faults = self.state["faults"]
        self.change(faults={**faults, text: {"stderr": stderr, "times": times, "hang": hang}})

    def _write(self, state: dict[str, Any]) -> None:
        (self._folder / "state").write_text(json.dumps(state))
