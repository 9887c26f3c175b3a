#!/bin/bash
# demo: build, start a cell with six relays, run real meetings on it, show each decision, clean up
. "$BW_ROOT/scripts/common.sh"

[ $# -eq 0 ] || usage_error "demo: takes no arguments"
need build postgres
bash "$BW_ROOT/scripts/deps.sh" --quiet demo || say "going on without ffmpeg; the step that needs it is skipped"
build_preset release programs || exit 1
exec "$PYTHON" -B scripts/demo.py
