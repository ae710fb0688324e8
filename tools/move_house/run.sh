#!/usr/bin/env bash
# Moves the whole house in a fresh worktree: tools/move_house/run.sh TARGET-FOLDER (outside the repository)
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
target="$1"
bin="$root/.venv/bin"
git -C "$root" worktree add -q --detach "$target" HEAD
cd "$here"
"$bin/python" pre.py "$target"                       # the few edits that must come before
"$bin/python" mover.py "$target"                     # every symbol to its new file, every import after it
(cd "$target" && "$bin/ruff" check --select F401,I,F811,F821 --fix -q mtlnas_lab tests benchmarks docs notebooks/build.py || true)
"$bin/python" fixup.py "$target"                     # root names, scripts of pages, tests that mirror the folders
(cd "$target" && "$bin/ruff" check --fix -q mtlnas_lab tests benchmarks docs notebooks/build.py || true)
(cd "$target" && "$bin/ruff" format -q .)
"$bin/python" layers.py "$target"                    # imports that point upward, circles
