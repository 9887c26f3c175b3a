#!/bin/bash
# build [PRESET]: build the programs (default: release, into build/release/bin)
. "$BW_ROOT/scripts/common.sh"

[ $# -le 1 ] || usage_error "build: one preset at most"
preset=${1:-release}
preset_exists "$preset" || usage_error "build: no preset '$preset' in CMakePresets.json"
need build
[ "$preset" != fuzz ] || need fuzz
if [ "$preset" = release ]; then
    build_preset release programs
else
    build_preset "$preset"
fi
