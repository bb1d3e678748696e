#!/usr/bin/env python3
"""That soak.py would say so if something grew; the soak itself takes minutes and is run by hand."""
import random
import unittest

from soak import grown


def samples(count, kilobytes=lambda n: 20_000, descriptors=lambda n: 30):
    return [(kilobytes(n), descriptors(n)) for n in range(count)]


class Grown(unittest.TestCase):
    def test_what_stays_as_it_is_does_not_grow(self):
        noise = random.Random(1)
        self.assertEqual(grown("sink", samples(40, lambda n: 20_000 + noise.randrange(500))), [])

    def test_what_warms_up_and_then_stays_does_not_grow(self):
        self.assertEqual(grown("sink", samples(40, lambda n: 10_000 if n < 8 else 40_000)), [])

    def test_memory_that_leaks_grows(self):
        self.assertIn("memory of the sink grows", grown("sink", samples(40, lambda n: 20_000 + 300 * n))[0])

    def test_descriptors_that_are_not_closed_grow(self):
        self.assertIn("descriptors of the sink grow", grown("sink", samples(40, descriptors=lambda n: 30 + n // 4))[0])


if __name__ == "__main__":
    unittest.main()
