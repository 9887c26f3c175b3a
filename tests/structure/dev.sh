#!/bin/bash
# ./dev itself: what a typing error gets, and that help names every verb.
cd "$BW_SOURCE_DIR" || exit 1
failed=0
check() { # NAME CONDITION...
    local name=$1
    shift
    if "$@"; then echo "ok $name"; else
        echo "not ok $name: $*"
        failed=1
    fi
}
exits() { # STATUS COMMAND...
    local want=$1 status=0
    shift
    "$@" >out 2>&1 || status=$?
    [ $status -eq "$want" ]
}
cd "$TMPDIR" || exit 1
dev=$BW_SOURCE_DIR/dev

check dev_without_a_verb_is_a_usage_error exits 2 "$dev"
check dev_unknown_verb_is_a_usage_error exits 2 "$dev" no-such-verb
check dev_path_as_verb_is_a_usage_error exits 2 "$dev" ../scripts/build
check dev_common_is_not_a_verb exits 2 "$dev" common
check dev_build_of_an_unknown_preset_is_a_usage_error exits 2 "$dev" build no-such-preset
check dev_deps_for_an_unknown_purpose_is_a_usage_error exits 2 "$dev" deps no-such-purpose
check dev_fuzz_wants_whole_seconds exits 2 "$dev" fuzz --seconds soon
check dev_bench_of_an_unknown_name_is_a_usage_error exits 2 env BW_ROOT="$BW_SOURCE_DIR" /usr/bin/python3 \
    "$BW_SOURCE_DIR/scripts/bench.py" no_such_figure
check dev_works_through_a_link bash -c 'ln -s "$1" here && ./here help >/dev/null' - "$dev"
"$dev" help >help.txt
for script in "$BW_SOURCE_DIR"/scripts/*.sh; do
    verb=$(basename "$script" .sh)
    [ "$verb" = common ] || check "dev_help_names_$verb" grep -q "^  $verb\b" help.txt
done
exit $failed
