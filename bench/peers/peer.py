#!/usr/bin/env python3
"""The peers that are written in Python: multiprocessing, concurrent.futures, Dask and ipyparallel.

usage: peer.py NAME throughput TASKS NANOSECONDS     prints the seconds that it took on two processes
       peer.py NAME latency TASKS                    prints the median round trip in microseconds
"""
import functools
import statistics
import sys
import time


# Whole in itself: ipyparallel sends its code to the engines, and nothing that it calls.
def task(number, rounds=0):
    value = 1
    for _ in range(rounds):
        value = value * 5 & 1023
    return number


@functools.cache
def rounds_per_nanosecond():
    best = 0
    for _ in range(9):
        start = time.perf_counter()
        task(0, 100_000)
        best = max(best, 100_000 / (time.perf_counter() - start) / 1e9)
    return best


class Multiprocessing:
    def __init__(self, chunk):
        import multiprocessing
        self.pool = multiprocessing.Pool(2)
        self.chunk = chunk

    def all(self, function, count):
        return sum(self.pool.imap_unordered(function, range(count), chunksize=self.chunk))

    def one(self):
        return self.pool.apply(task, (0,))


class Futures:
    def __init__(self):
        import concurrent.futures
        self.pool = concurrent.futures.ProcessPoolExecutor(2)

    def all(self, function, count):
        return sum(self.pool.map(function, range(count)))

    def one(self):
        return self.pool.submit(task, 0).result()


class Dask:
    def __init__(self):
        import distributed
        self.client = distributed.Client(n_workers=2, threads_per_worker=1, dashboard_address=None)

    def all(self, function, count):
        return sum(self.client.gather(self.client.map(function, range(count), pure=False)))

    def one(self):
        return self.client.submit(task, 0, pure=False).result()


class Ipyparallel:
    def __init__(self):
        import ipyparallel
        self.view = ipyparallel.Cluster(n=2, log_level=50).start_and_connect_sync().load_balanced_view()

    def all(self, function, count):
        return sum(self.view.map_sync(function, range(count)))

    def one(self):
        return self.view.apply_sync(task, 0)


PEERS = {"multiprocessing, chunksize 1": lambda: Multiprocessing(1),
         "multiprocessing, chunksize 1000": lambda: Multiprocessing(1000),
         "ProcessPoolExecutor": Futures, "Dask": Dask, "ipyparallel": Ipyparallel}


def main():
    peer, what, count = PEERS[sys.argv[1]](), sys.argv[2], int(sys.argv[3])
    if what == "throughput":
        nanoseconds = float(sys.argv[4])
        function = functools.partial(task, rounds=int(nanoseconds * rounds_per_nanosecond())) if nanoseconds else task
        peer.all(function, min(count, 100))
        start = time.perf_counter()
        total = peer.all(function, count)
        took = time.perf_counter() - start
        if total != count * (count - 1) // 2:
            sys.exit("not every result came")
        print(took)
        return
    times = []
    for _ in range(count):
        start = time.perf_counter()
        peer.one()
        times.append((time.perf_counter() - start) * 1e6)
    print(statistics.median(times))


if __name__ == "__main__":
    main()
