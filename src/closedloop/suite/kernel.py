"""The kernel that runs a notebook: this interpreter's own, leaving nothing behind."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines

from closedloop import paths

ENGINE = "closedloop"
_LONGEST_FOLDER = 80  # a socket's path may have 107 bytes


class Kernel:
    """Where the kernel of one notebook has its files, and a way to end it.

    `scratch` is a folder that the caller removes afterwards; what the kernel's
    process itself prints goes to `log`.
    """

    def __init__(self, scratch: Path, log: Path, cwd: Path) -> None:
        self._log = log
        self._cwd = cwd
        # No kernels but the native one: `python3` in a user's Jupyter folder may be any Python.
        self.manager = AsyncKernelManager(
            kernel_name="python3",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            connection_file=str(scratch / "connection.json"),
            # Unix sockets, which only this user can open, unless the path is too long for one.
            transport="ipc" if len(str(scratch)) < _LONGEST_FOLDER else "tcp",
        )
        self._env = {
            **os.environ,
            **paths.environment(),  # the kernel's working directory is not ours
            "IPYTHONDIR": str(scratch / "ipython"),
            "JUPYTER_CONFIG_DIR": str(scratch / "config"),
            "JUPYTER_DATA_DIR": str(scratch / "data"),
            "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
            # A kernel is killed when its notebook is through: nothing in it removes its own files.
            "TMPDIR": str(scratch),
            # Kept from run to run: matplotlib takes seconds to list the fonts anew.
            "MPLCONFIGDIR": str(paths.parts_folder() / "matplotlib"),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the debugger prints a warning
        }
        self._env.pop("MPLBACKEND", None)  # the kernel draws inline

    def kill(self) -> None:
        """End the kernel and its processes, at once. Safe to call from a signal handler."""
        pid = getattr(self.manager.provisioner, "pid", None)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # a kernel leads a group of its own

    def execute(
        self,
        notebook: NotebookExecutionManager,
        on_output: Callable[[Any, str, str], None],
    ) -> None:
        """Run all cells up to the first that fails, and end the kernel.

        `on_output` is called with the cell, a media type and the content of each
        picture as it is drawn (PNG, in base64) and of each text as it is printed.
        """
        client = _Client(
            notebook,
            km=self.manager,
            timeout=None,
            startup_timeout=120,
            shutdown_kernel="immediate",
            resources={},
        )
        client.on_output = on_output
        with self._log.open("ab") as log:
            try:
                client.execute(
                    cwd=str(self._cwd), env=self._env, stdout=log, stderr=log, cleanup_kc=True
                )
            finally:
                self.kill()


class _Client(PapermillNotebookClient):  # type: ignore[misc]  # papermill ships no types
    """papermill's client, which also tells of pictures and printed text at once."""

    on_output: Callable[[Any, str, str], None]

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        content = msg["content"]
        if msg["msg_type"] == "stream":
            self.on_output(cell, "text/plain", content["text"])
        elif (png := content.get("data", {}).get("image/png")) is not None:
            self.on_output(cell, "image/png", png)
        return super().process_message(msg, cell, cell_index)


class _Engine(NBClientEngine):  # type: ignore[misc]  # papermill ships no types
    """papermill's engine with our kernel, a call before each cell and one for each output."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: NotebookExecutionManager,
        kernel_name: str,  # noqa: ARG003 - papermill passes it; the kernel is ours
        *,
        kernel: Kernel,
        on_cell: Callable[[NotebookExecutionManager, int], None],
        on_output: Callable[[Any, str, str], None],
        **_options: Any,
    ) -> None:
        begin = nb_man.cell_start

        def announce(cell: Any, cell_index: int, **more: Any) -> None:
            on_cell(nb_man, cell_index)
            begin(cell, cell_index, **more)

        nb_man.cell_start = announce
        kernel.execute(nb_man, on_output)


papermill_engines.register(ENGINE, _Engine)
