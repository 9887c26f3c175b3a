#!/bin/sh
# The build must fail when a field of a message does not state its bounds: damages one .proto file in one way at
# a time and expects the generator of the pre-scan's tables to refuse it, naming the field.
set -u
proto=$BW_SOURCE_DIR/proto
generator=$BW_BUILD_DIR/src/wire/bw_wire_gen
include=/usr/include
cd "$TMPDIR" || exit 1
cp -r "$proto/bailiwick" . || exit 1
status=0

# refuses NAME SED-SCRIPT WHAT-IT-SAYS: key.proto after the script
refuses() {
    sed -e "$2" "$proto/bailiwick/v1/key.proto" > bailiwick/v1/key.proto
    if cmp -s "$proto/bailiwick/v1/key.proto" bailiwick/v1/key.proto; then
        said="the damage changes nothing"
    elif ! protoc -I. -I$include --include_imports --descriptor_set_out=set bailiwick/v1/key.proto 2> said; then
        said="protoc: $(cat said)"
    elif "$generator" set tables.c 2> said; then
        said="it was accepted"
    else
        said=$(cat said)
    fi
    case $said in
    *"$3"*) echo "ok $1" ;;
    *) echo "not ok $1: $said"; status=1 ;;
    esac
}

refuses string_without_a_bound 's/string name = 1 \[(rule) = {max_len: 128, grammar: TOKEN}\];/string name = 1;/' \
    'bailiwick.v1.Key.name: states no max_len'
refuses string_without_a_grammar 's/{max_len: 128, grammar: TOKEN}\]/{max_len: 128}]/' \
    'bailiwick.v1.Key.name: states no grammar'
refuses bytes_without_a_bound 's/uint32 version = 7;/bytes version = 7;/' \
    'bailiwick.v1.Key.version: states no max_len'
refuses list_without_a_limit 's/repeated Key keys = 1 .*/repeated Key keys = 1;/' \
    'bailiwick.v1.ListKeysResponse.keys: is repeated and states no max_items'
refuses map_without_a_bound 's/uint32 version = 7;/map<string, uint32> version = 7 [(rule) = {max_items: 3}];/' \
    'bailiwick.v1.Key.version: states no max_len'
refuses message_that_holds_itself 's/uint32 version = 7;/Key version = 7;/' \
    'bailiwick.v1.Key: nests deeper than 32, or holds itself'
refuses type_the_scan_does_not_know 's/uint32 version = 7;/double version = 7;/' \
    'bailiwick.v1.Key.version: the scan knows no such type'
refuses proto3_optional 's/uint32 version = 7;/optional uint32 version = 7;/' \
    'bailiwick.v1.Key.version: protoc-c cannot do proto3 optional'
refuses range_of_a_string 's/{max_len: 128, grammar: TOKEN}\]/{max_len: 128, grammar: TOKEN, min: 1}]/' \
    'bailiwick.v1.Key.name: has min or max but is no number'

cp "$proto/bailiwick/v1/key.proto" bailiwick/v1/key.proto
if protoc -I. -I$include --include_imports --descriptor_set_out=set bailiwick/v1/key.proto && "$generator" set tables.c; then
    echo "ok undamaged_files_are_accepted"
else
    echo "not ok undamaged_files_are_accepted: see above"
    status=1
fi
exit $status
