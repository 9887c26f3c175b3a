#!/bin/bash
# fuzz [TARGET] [--seconds N]: run the libFuzzer targets (default: each for 30 seconds)
. "$BW_ROOT/scripts/common.sh"

seconds=30 target=
while [ $# -gt 0 ]; do
    case $1 in
    --seconds)
        [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage_error "fuzz: --seconds wants a whole number of seconds"
        seconds=$2
        shift
        ;;
    -*) usage_error "fuzz: unknown option '$1'" ;;
    *)
        [ -z "$target" ] || usage_error "fuzz: one target at most"
        target=$1
        ;;
    esac
    shift
done
need build postgres test fuzz
build_preset fuzz || exit 1

mapfile -t targets < <(find build/fuzz/bin/fuzz -maxdepth 1 -type f -executable -printf '%f\n' 2>/dev/null | sort)
if [ -n "$target" ]; then
    [[ " ${targets[*]} " == *" $target "* ]] || usage_error "fuzz: no target '$target'; there are: ${targets[*]:-none}"
    targets=("$target")
fi
[ ${#targets[@]} -gt 0 ] || die "there are no fuzz targets yet (tests/fuzz)"

status=0
for name in "${targets[@]}"; do
    # What a run discovers stays beside the build; a crash is kept as an input that the tests then replay.
    found=build/fuzz/corpus/$name kept=tests/fuzz/corpus/$name log=build/log/fuzz-$name.log
    mkdir -p "$found" "$kept"
    if quietly "$log" "build/fuzz/bin/fuzz/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -artifact_prefix="$kept/" "$found" "$kept"; then
        say "$name: $(grep -o 'Done [0-9]* runs in [0-9]* second(s)' "$log" || echo "no crash")"
    else
        say "$name: failed; the input is in $kept, and is replayed by ./dev test from now on"
        status=1
    fi
    rmdir --ignore-fail-on-non-empty "$kept"
done
exit $status
