#!/bin/bash
# The demo, with the programs of this build and a folder and ports of its own: it must end by itself with status 0,
# have shown what it promises, and leave nothing behind.
status=0
BW_ROOT=$BW_SOURCE_DIR BW_PROGRAMS=$BW_BUILD_DIR/bin BW_STACKS=$TMPDIR/home \
    /usr/bin/python3 -B "$BW_SOURCE_DIR/scripts/demo.py" >out.txt 2>&1 || status=$?
failed=0
check() { # NAME CONDITION...
    local name=$1
    shift
    if "$@" >/dev/null 2>&1; then echo "ok $name"; else
        echo "not ok $name: $*"
        failed=1
    fi
}
held() { grep -q "✓.*$1" out.txt; }

check demo_ends_with_status_0 [ $status -eq 0 ]
check demo_says_how_many_checks_held grep -Eq '^Everything shown held: [0-9]+ checks in 12 chapters' out.txt
check demo_shows_a_meeting_that_stays_in_france held 'all three are on par1'
check demo_shows_a_reason_for_every_other_relay held 'the five others are rejected'
check demo_shows_that_relays_outside_the_policy_carried_nothing held 'carried nothing'
check demo_finds_a_bad_stretch_as_support_would held "one person's path that lost packets"
check demo_masks_people held 'to tier 2'
check demo_shows_datagrams_across_a_link held 'datagrams crossed the link both ways'
check demo_shows_that_a_grant_is_for_one_relay held 'the relay in Ashburn refuses it'
check demo_moves_a_meeting_when_its_relay_is_killed held 'exactly those on the dead relay were moved'
check demo_applies_a_tightened_policy_at_once held 'everybody is in Paris now'
check demo_loses_no_acknowledged_join held 'are in the meeting, each once'
check demo_removes_everything [ ! -e "$TMPDIR/home/demo" ]
if grep -q 'Skipped: there is no ffmpeg' out.txt; then
    echo "skipped: demo_carries_rtp_from_ffmpeg: there is no ffmpeg here"
else
    check demo_carries_rtp_from_ffmpeg held 'frames arrived and were decoded'
fi
[ $failed -eq 0 ] || cat out.txt
exit $failed
