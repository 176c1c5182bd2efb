#!/usr/bin/env bash
# Restarts three replicas of a tonic server under load of tonic's client and of Go's, which balance by health and try nothing
# twice; no call may fail. Skips, and says so, without python3, and Go's client without Go or Debian's packages of its gRPC.
#
#     bash tests/grpc.sh [--rounds 20] [--lame-duck-ms 300]
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/debian.sh

command -v python3 >/dev/null || {
    echo "grpc: SKIPPED, there is no python3"
    exit 0
}

# Go's gRPC, and what it imports.
packages=(
    golang-google-grpc-dev golang-google-genproto-dev golang-google-protobuf-dev golang-github-golang-protobuf-1-5-dev
    golang-golang-x-net-dev golang-golang-x-sys-dev golang-golang-x-text-dev
)

# Builds Go's client, and prints where it is.
go_client() {
    local root=$cache/go-grpc
    command -v go >/dev/null || return
    unpack "$root" "${packages[@]}" || return
    GO111MODULE=off GOFLAGS= GOPATH=$root/usr/share/gocode GOCACHE=$cache/go-build \
        go build -o "$root/client" tests/grpc/main.go >&2 || return
    echo "$root/client"
}

cargo build --locked -p ebbtide-tonic --examples
go=()
if client=$(go_client); then
    go=(--go "$client")
else
    echo "grpc: Go's client SKIPPED, there is no Go, or its gRPC cannot be had ($cache/go-grpc.log says why)"
fi
exec python3 tests/grpc/restarts.py "${CARGO_TARGET_DIR:-target}/debug/examples" "${go[@]}" "$@"
