# HAProxy and nginx: as they are installed, or as Debian packages them. To be sourced, after debian.sh.

PATH=$PATH:/usr/sbin

# Makes a program one that can be called. If it is not there, Debian's packages are unpacked into the cache, and not installed.
provide() { # PROGRAM PACKAGE...
    local program=$1 root=$cache/$1
    shift
    command -v "$program" >/dev/null && return
    command -v apt-get >/dev/null && unpack "$root" "$@" || return
    mkdir -p "$root/bin"
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$(libraries "$root")" "$root/usr/sbin/$program" >"$root/bin/$program.$$"
    chmod +x "$root/bin/$program.$$"
    mv "$root/bin/$program.$$" "$root/bin/$program"
    PATH=$root/bin:$PATH
    "$program" -v >/dev/null 2>&1
}

provide_haproxy() { provide haproxy haproxy liblua5.3-0 libpcre2-8-0 libssl3 libsystemd0 libcrypt1; }
provide_nginx() { provide nginx nginx libpcre2-8-0 libssl3 zlib1g libcrypt1; }
