#!/bin/bash
# test [--asan|--tsan] [OPTIONS] [FILTER]: build and run the tests whose name holds FILTER (default: all)
. "$BW_ROOT/scripts/common.sh"

preset=dev pass=()
for arg in "$@"; do
    case $arg in
    --asan | --tsan) preset=${arg#--} ;;
    --preset=*) preset=${arg#--preset=} ;;
    *) pass+=("$arg") ;;
    esac
done
preset_exists "$preset" || usage_error "test: no preset '$preset' in CMakePresets.json"
need build postgres test
build_preset "$preset" || exit 1
exec "$PYTHON" "$BW_ROOT/tests/run" --preset "$preset" "${pass[@]}"
