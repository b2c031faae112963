"""Prometheus' own client reads /metrics."""

import math
import unittest
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from served import PATIENCE_S, ServedTest


class MetricsTest(ServedTest):
    def families(self):
        with urllib.request.urlopen(self.address + "/metrics", timeout=PATIENCE_S) as answer:
            return list(text_string_to_metric_families(answer.read().decode()))

    def test_every_family_is_whole(self):
        self.post("/v1/completions", {"prompt": "Once upon a time", "max_tokens": 8})
        families = self.families()
        names = [family.name for family in families]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual({family.type for family in families}, {"counter", "gauge", "histogram"})
        for family in families:
            self.assertTrue(family.documentation, family.name)
            self.assertTrue(family.samples, family.name)
            self.assertTrue(all(math.isfinite(sample.value) for sample in family.samples))
            if family.type == "histogram":
                self.check_histogram(family)
        self.assertEqual({sample.labels["state"] for family in families
                          if family.name == "octavo:kv_cache_blocks" for sample in family.samples},
                         {"in_use", "cached", "free", "uncommitted"})

    def check_histogram(self, family):
        buckets = [(float(sample.labels["le"]), sample.value) for sample in family.samples
                   if sample.name == family.name + "_bucket"]
        count, = (sample.value for sample in family.samples
                  if sample.name == family.name + "_count")
        self.assertEqual(buckets, sorted(buckets), family.name)
        self.assertEqual([value for _, value in buckets], sorted(value for _, value in buckets))
        self.assertEqual(buckets[-1], (math.inf, count), family.name)


if __name__ == "__main__":
    unittest.main()
