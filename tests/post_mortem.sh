#!/usr/bin/env bash
# What a killed drain held, on disks that fail: a full one, a read-only one, and one that does not answer. The disks are
# small and in a mount namespace of their own. Needs Linux and root; skips, and says so, without them.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "post-mortem: SKIPPED, $*"
    exit 0
}

[ "$(uname)" = Linux ] || skip "mount namespaces are Linux's"
[ "$(id -u)" = 0 ] || skip "mounts need root"
unshare --mount mount -t tmpfs none /mnt 2>/dev/null || skip "nothing can be mounted here"

if [ "${1:-}" != inside ]; then
    cargo test --locked -p ebbtide-post-mortem --test disks --no-run
    exec unshare --mount bash "$0" inside
fi

disks=$(mktemp -d)
mounted() { # NAME TYPE DEVICE OPTIONS
    mkdir "$disks/$1"
    mount -t "$2" -o "$4" "$3" "$disks/$1"
}
clean() {
    fsfreeze --unfreeze "$disks/frozen" 2>/dev/null || true
    for disk in full read-only frozen; do umount "$disks/$disk" 2>/dev/null || true; done
    rm -rf --one-file-system "$disks"
}
trap clean EXIT

run() { # TEST
    cargo test --locked -q -p ebbtide-post-mortem --test disks -- --ignored --exact --nocapture "$1"
}

mounted full tmpfs none size=4k
# It ends with an error: there is no space for more.
head -c 64k /dev/zero 2>/dev/null >"$disks/full/filler" || true
export FULL=$disks/full
run on_a_full_disk_the_drain_ends_in_time_with_one_line_that_says_so
run when_a_full_disk_has_space_again_what_is_held_is_written

mounted read-only tmpfs none size=64k
cp adapters/post-mortem/tests/killed "$disks/read-only/ebbtide-drain-812-1"
mount -o remount,ro "$disks/read-only"
export READ_ONLY=$disks/read-only
run in_a_read_only_folder_the_drain_ends_in_time_with_a_line_for_what_cannot_be_removed_and_one_for_what_cannot_be_written

truncate -s 16M "$disks/image"
if mkfs.ext4 -q "$disks/image" && mounted frozen ext4 "$disks/image" loop; then
    export FROZEN=$disks/frozen
    run a_disk_that_does_not_answer_delays_neither_the_drain_nor_the_end
else
    echo "post-mortem: SKIPPED, there is no disk here that can be frozen"
fi
echo "post-mortem: all disks passed"
