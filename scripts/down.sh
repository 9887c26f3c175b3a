#!/bin/bash
# down: end what ./dev up started, and remove it
. "$BW_ROOT/scripts/common.sh"

[ $# -eq 0 ] || usage_error "down: takes no arguments"
exec "$PYTHON" -B scripts/stack.py down
