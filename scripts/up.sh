#!/bin/bash
# up: start a cell with six relays and example tenants on this machine, and say how to talk to it
. "$BW_ROOT/scripts/common.sh"

[ $# -eq 0 ] || usage_error "up: takes no arguments"
need build postgres
build_preset release programs || exit 1
exec "$PYTHON" -B scripts/stack.py up
