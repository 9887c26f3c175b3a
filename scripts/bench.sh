#!/bin/bash
# bench [NAME] [--list]: print one JSON line a figure, each beside an anchor measured in the same run
. "$BW_ROOT/scripts/common.sh"

if [ "${1:-}" = --list ]; then
    [ $# -eq 1 ] || usage_error "bench: --list stands alone"
else
    [ $# -le 1 ] || usage_error "bench: one name at most"
    need build postgres test bench
    build_preset release programs benches || exit 1
fi
exec "$PYTHON" scripts/bench.py "$@"
