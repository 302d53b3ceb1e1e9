// Holds resources of the Prometheus Operator against its own schemas: a JSON list on stdin, mistakes on stdout.
import { PrometheusRule, ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/index";
import { readFileSync } from "node:fs";

const kinds = { PrometheusRule, ServiceMonitor };
for (const resource of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    new kinds[resource.kind](resource).validate();
  } catch (error) {
    console.log(`${resource.kind}: ${error.message}`);
  }
}
