#!/bin/bash
# lint [--fix] [PATH...]: formatting, clang-tidy and the structure checks (default: everything)
. "$BW_ROOT/scripts/common.sh"

fix=no paths=()
for arg in "$@"; do
    case $arg in
    --fix) fix=yes ;;
    -*) usage_error "lint: unknown option '$arg'" ;;
    *)
        [ -e "$arg" ] || usage_error "lint: no such file or folder '$arg'"
        paths+=("$arg")
        ;;
    esac
done
[ ${#paths[@]} -gt 0 ] || paths=(src tests)
need build postgres test lint
status=0

mapfile -t sources < <(find "${paths[@]}" -type f \( -name '*.c' -o -name '*.h' \) | sort)
if [ ${#sources[@]} -gt 0 ]; then
    if [ $fix = yes ]; then
        clang-format -i "${sources[@]}"
    else
        clang-format --dry-run -Werror "${sources[@]}" || status=1
    fi
fi

# clang-tidy follows compile_commands.json, so what it reads is what the compiler builds; generated sources
# have to exist first.
build_preset dev || exit 1
mapfile -t units < <("$PYTHON" scripts/compiled.py build/dev/compile_commands.json "${paths[@]}")
if [ ${#units[@]} -gt 0 ]; then
    printf '%s\0' "${units[@]}" |
        xargs -0 -n 1 -P "$(nproc)" bash scripts/tidy-one || status=1
fi

"$PYTHON" tests/run --preset dev structure/ || status=1
exit $status
