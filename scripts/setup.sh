# Sourced by the other scripts: sets the project up in .venv/, from the lock file, with the
# options for dependency groups in `groups`, if any.
# Afterwards `"${run[@]}" PROGRAM …` runs a program of the environment. Needs bash,
# Python 3.11 or newer and the package registries; uv is taken from PATH or
# installed for this checkout alone. Takes a second when everything is there.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH # another environment's would be mixed in
unset PYTHONDONTWRITEBYTECODE # else every process compiles every module anew
export UV_PYTHON_DOWNLOADS=never        # only registries are asked, for packages

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

find_python() {
  local candidate
  for candidate in python3 python3.{14,13,12,11} python; do
    "$candidate" -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1); print(sys.executable)' \
      2>/dev/null && return
  done
  fail "No Python 3.11 or newer on PATH: install one (Debian: apt install python3), then run this again."
}

# The version that the project itself pins.
uv_requirement() {
  "$python" - "$root/pyproject.toml" <<'PYTHON'
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    dependencies = tomllib.load(file)["project"]["dependencies"]
print(next(line for line in dependencies if line.startswith("uv>")))
PYTHON
}

install_uv() {
  local folder="$root/.closedloop/uv" requirement
  uv="$folder/bin/uv"
  if "$uv" --version >/dev/null 2>&1; then return; fi
  requirement=$(uv_requirement)
  echo "Getting $requirement …" >&2
  rm -rf "$folder"
  mkdir -p "$root/.closedloop"
  # Debian's python3 has no ensurepip without python3-venv; then its pip will do.
  if "$python" -m venv "$folder" >/dev/null 2>&1; then
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$requirement"
  elif rm -rf "$folder" && "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m pip install --quiet --disable-pip-version-check --target "$folder" "$requirement"
  else
    fail "$python has neither venv nor pip: install uv or python3-venv, then run this again."
  fi || fail "uv could not be installed: see above; or put uv on PATH, then run this again."
}

python=$(find_python)
uv=$(command -v uv || true)
if [ -z "$uv" ]; then install_uv; fi

if [ ! -x "$root/.venv/bin/python" ]; then
  echo "Installing the locked dependencies into .venv (once, a minute or two) …" >&2
  export UV_PYTHON="${UV_PYTHON:-$python}"
fi
# uv leaves lock files in the temp folder: better in ours. What it is doing is shown; its
# list of every single package is not.
mkdir -p "$root/.closedloop/tmp"
TMPDIR="$root/.closedloop/tmp" "$uv" sync --project "$root" --locked --all-extras ${groups[@]+"${groups[@]}"} 2> >(
  grep -vE '^ [-+~] |^(Resolved|Checked|Audited) ' >&2
) || fail "The dependencies could not be installed: see above."

# Begin a command with it, after exec: then signals and exit status pass through.
run=(env "PATH=$root/.venv/bin:$PATH")
