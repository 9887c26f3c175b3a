#!/bin/bash
# interop-server --port P [--tls]: serve gRPC's interop test service in the foreground, over the daemon's own src/grpc
. "$BW_ROOT/scripts/common.sh"

port='' tls=
while [ $# -gt 0 ]; do
    case $1 in
    --port)
        [[ ${2:-} =~ ^[0-9]+$ ]] && [ "$2" -le 65535 ] || usage_error "interop-server: --port wants a number up to 65535"
        port=$2
        shift
        ;;
    --tls) tls=yes ;;
    *) usage_error "interop-server: unknown argument '$1'" ;;
    esac
    shift
done
[ -n "$port" ] || usage_error "interop-server: --port P is required"
need build test
build_preset dev || exit 1

arguments=(--port "$port")
if [ -n "$tls" ]; then
    # A certificate for localhost that nobody else trusts: clients are pointed at it by file.
    folder=build/dev/interop
    mkdir -p "$folder"
    [ -f "$folder/server.crt" ] ||
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=localhost \
            -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' -keyout "$folder/server.key" -out "$folder/server.crt" \
            2>/dev/null || die "openssl could not make a certificate"
    echo "certificate to trust: $folder/server.crt" >&2
    arguments+=(--tls "$folder/server.crt" "$folder/server.key")
fi
exec build/dev/bin/conformance/interop_server "${arguments[@]}"
