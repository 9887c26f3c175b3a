#!/bin/bash
# ./dev up and ./dev down, in a folder of their own: both can be repeated, what is printed can be copied, and nothing
# that is not ours is ended.
export BW_ROOT=$BW_SOURCE_DIR BW_PROGRAMS=$BW_BUILD_DIR/bin BW_STACKS=$TMPDIR/stacks
failed=0
check() { # NAME CONDITION...
    local name=$1
    shift
    if "$@" >>log.txt 2>&1; then echo "ok $name"; else
        echo "not ok $name: $*"
        failed=1
    fi
}
stack() { /usr/bin/python3 -B "$BW_SOURCE_DIR/scripts/stack.py" "$@"; }
pids() { sed -n 's/.*"pid": \([0-9]*\).*/\1/p' stacks/up/state.json; }
pid_of() { sed -n "/\"$1\": {/,/}/s/.*\"pid\": \([0-9]*\).*/\1/p" stacks/up/state.json; }
copied() { # the first printed line that holds $1, as the shell takes it
    bash -c "$(grep '^ *export ' up.txt); $(grep -m 1 "$1" up.txt)"
}
none_runs() {
    local pid
    for pid in "$@"; do
        # whom nobody has collected yet has ended all the same
        grep -qs '^State:[[:space:]]*[RSDTtIPK]' "/proc/$pid/status" && {
            echo "$pid still runs: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
            return 1
        }
    done
    return 0
}
trap 'stack down >/dev/null 2>&1; kill "$stranger" 2>/dev/null' EXIT

stack up >up.txt 2>up.err
check up_starts_a_stack grep -q '^The stack is up\.' up.txt
check up_prints_a_line_that_works copied 'relay list'
check up_prints_a_line_for_a_tenants_admin copied 'policy get'
first=$(pids)
stack up >again.txt 2>/dev/null
check up_again_changes_nothing [ "$(pids)" = "$first" ]
check up_again_says_so grep -q 'was up already' again.txt
kill -9 "$(pid_of zrh1)"
stack up >/dev/null 2>&1
check up_starts_what_has_ended kill -0 "$(pid_of zrh1)"
check up_leaves_alone_what_runs [ "$(pid_of par1)" = "$(sed -n 2p <<<"$first")" ]

# A process id that has been given to somebody else since.
sleep 300 &
stranger=$!
victim=$(pid_of sin1)
sed -i "s/\"pid\": $victim,/\"pid\": $stranger,/" stacks/up/state.json
all=$(pids | grep -v "^$stranger\$")
stack down >down.txt 2>&1
check down_says_that_it_is_down grep -q '^The stack is down\.' down.txt
check down_ends_what_up_started none_runs $all
check down_ends_nothing_else kill -0 "$stranger"
check down_removes_everything [ ! -e stacks/up ]
kill -9 "$victim"
stack down >down.txt 2>&1
check down_again_is_no_error grep -q '^There is no stack' down.txt
[ $failed -eq 0 ] || cat up.txt up.err again.txt down.txt log.txt
exit $failed
