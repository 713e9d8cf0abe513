"""Reads an OpenMetrics text from standard input with the strict parser of Prometheus' Python client.

Prints one line `SERIES VALUE` for each sample. Run with the interpreter of .tools/openmetrics.
"""

import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
        print(f"{sample.name}{{{labels}}}" if labels else sample.name, sample.value)
