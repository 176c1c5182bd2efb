#!/usr/bin/env bash
# Every link between files of this repository leads somewhere. (rustdoc checks its own.)
set -euo pipefail
cd "$(dirname "$0")/.."

broken=0
while IFS=: read -r page link; do
    target=${link#*](}
    target=${target%%[)#]*}
    case $target in
        "" | http*://* | *::*) continue ;;
    esac
    if [ ! -e "$(dirname "$page")/$target" ]; then
        echo "$page: there is no $target" >&2
        broken=1
    fi
done < <(git ls-files -z '*.md' | xargs -0 grep -oH ']([^) ]*)')
exit "$broken"
