"""Two network namespaces with a link between them that is as long, or as narrow, as one likes."""

import ctypes
import fcntl
import heapq
import os
import select
import signal
import struct
import subprocess
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000

SERVER, CLIENT = "10.9.0.1", "10.9.0.2"


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def enter(namespace):
    """Has this process, and what it opens from now on, be in a namespace."""
    fd = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if LIBC.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    os.close(fd)


class Link:
    """Takes this process into the clients' namespace; the servers' is `self.servers`."""

    def __init__(self, name, round_trip, rate=None):
        self.servers, self.clients = f"{name}-s", f"{name}-c"
        self.relay = None
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            ends = [self._end(self.servers, SERVER), self._end(self.clients, CLIENT)]
            self.relay = os.fork()
            if self.relay == 0:
                try:
                    relay(*ends, round_trip / 2, rate)
                finally:
                    os._exit(1)
            for end in ends:
                os.close(end)
            enter(self.clients)
        except BaseException:
            self.close()
            raise

    def _end(self, namespace, address):
        ip("netns", "add", namespace)
        enter(namespace)
        tun = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", b"far0", IFF_TUN | IFF_NO_PI))
        LIBC.setns(self.home, CLONE_NEWNET)
        ip("-n", namespace, "link", "set", "lo", "up")
        ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "far0")
        ip("-n", namespace, "link", "set", "far0", "up")
        return tun

    def close(self):
        LIBC.setns(self.home, CLONE_NEWNET)
        if self.relay:
            os.kill(self.relay, signal.SIGKILL)
            os.waitpid(self.relay, 0)
        for namespace in (self.servers, self.clients):
            subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# What a narrow link holds before it drops, as the routers before one do.
BUFFER = 64 << 10


def relay(a, b, one_way, rate):
    """Carries packets until it is killed, each direction at no more than `rate` bytes a second."""
    under_way, count, free = [], 0, {a: 0.0, b: 0.0}
    while True:
        now = time.monotonic()
        wait = max(0, under_way[0][0] - now) if under_way else None
        for end in select.select([a, b], [], [], wait)[0]:
            packet, now = os.read(end, 1 << 16), time.monotonic()
            sent = max(now, free[end])
            if rate:
                if (sent - now) * rate > BUFFER:
                    continue
                sent += len(packet) / rate
                free[end] = sent
            count += 1
            heapq.heappush(under_way, (sent + one_way, count, b if end == a else a, packet))
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _, _, end, packet = heapq.heappop(under_way)
            os.write(end, packet)
