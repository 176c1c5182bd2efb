# A compiler and tools as Debian packages them, unpacked into a cache and not installed. To be sourced by the checks.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/ebbtide

# Unpacks packages into a directory, each once. Fails where one cannot be had; DIRECTORY.log says why.
unpack() ( # DIRECTORY PACKAGE[=VERSION]...
    root=$1
    shift
    mkdir -p "$root/.unpacked" || return
    exec >>"$root.log" 2>&1 9>"$root.lock"
    flock 9
    missing=()
    for package; do [ -e "$root/.unpacked/$package" ] || missing+=("$package"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    rm -rf "$root/.download" && mkdir "$root/.download" && cd "$root/.download" &&
        { apt-get download "${missing[@]}" || { apt-get update && apt-get download "${missing[@]}"; }; } || return
    for file in *.deb; do dpkg -x "$file" "$root" || return; done
    for package in "${missing[@]}"; do touch "$root/.unpacked/$package"; done
    rm -r "$root/.download"
)

# Prints where the libraries of what is unpacked in a directory are.
libraries() { # DIRECTORY
    local paths=("$1"/usr/lib/*-linux-gnu "$1"/lib/*-linux-gnu)
    (IFS=: && echo "${paths[*]}")
}

# Prints the command to run the compiler that Debian packages for browsers, of a version (1.85) and with the further
# packages of the same version.
debian_rustc() { # VERSION [PACKAGE...]
    local version=$1 root=$cache/rustc-$1 full package packages=()
    shift
    mkdir -p "$root"
    if [ ! -e "$root/version" ]; then
        full=$(debian_rustc_version "$version") ||
            full=$(apt-get update >>"$root.log" 2>&1; debian_rustc_version "$version") || return
        echo "$full" >"$root/version"
    fi
    full=$(cat "$root/version")
    for package in rustc-web "libstd-rust-web-$version" libstd-rust-web-dev "$@"; do packages+=("$package=$full"); done
    unpack "$root" "${packages[@]}" libllvm19 || return
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$(libraries "$root")" "$root/usr/bin/rustc" >"$root/rustc.$$"
    chmod +x "$root/rustc.$$"
    mv "$root/rustc.$$" "$root/rustc"
    echo "$root/rustc"
}

debian_rustc_version() { # VERSION
    apt-cache madison rustc-web 2>/dev/null |
        awk -v v="$1." 'index($3, v) == 1 { print $3; found = 1; exit } END { exit !found }'
}
