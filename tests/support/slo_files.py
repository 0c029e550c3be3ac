"""One small file of objectives for each format."""

from __future__ import annotations

SLOTH = """
version: prometheus/v1
service: shop
labels: {owner: team-a}
slos:
  - name: availability
    objective: 99.9
    description: Requests that do not fail
    labels: {tier: "1"}
    sli:
      events:
        error_query: sum(rate(http_requests_total{job="shop",code=~"5.."}[{{.window}}]))
        total_query: sum(rate(http_requests_total{job="shop"}[{{ .window }}]))
    alerting:
      name: ShopFails
      page_alert: {labels: {severity: page}}
      ticket_alert: {disable: true}
  - name: freshness
    objective: 95
    sli: {raw: {error_ratio_query: "avg_over_time(stale_ratio[{{.window}}])"}}
    alerting: {page_alert: {disable: true}, ticket_alert: {disable: true}}
"""

SLOTH_RESOURCE = """
apiVersion: sloth.slok.dev/v1
kind: PrometheusServiceLevel
metadata: {name: shop}
spec:
  service: shop
  slos:
    - name: availability
      objective: 99.5
      sli: {events: {errorQuery: "sum(rate(bad[{{.window}}]))", totalQuery: "sum(rate(all[{{.window}}]))"}}
      alerting: {name: ShopFails, pageAlert: {disable: true}}
"""

PYRRA = """
apiVersion: pyrra.dev/v1alpha1
kind: ServiceLevelObjective
metadata:
  name: {name}
  namespace: monitoring
  labels: {{pyrra.dev/service: shop, other: kept-out}}
  annotations: {{pyrra.dev/runbook: "https://example.com"}}
spec:
  target: "99.5"
  window: 4w
  indicator: {indicator}
"""

OPENSLO = """
apiVersion: openslo/v1
kind: SLI
metadata: {name: requests}
spec:
  ratioMetric:
    counter: true
    bad: {metricSource: {type: Prometheus, spec: {query: 'http_requests_total{code=~"5.."}'}}}
    total: {metricSource: {type: Prometheus, spec: {query: http_requests_total}}}
---
apiVersion: openslo/v1
kind: AlertCondition
metadata: {name: fast}
spec: {severity: page, condition: {kind: burnrate, op: lte, threshold: 2, lookbackWindow: 1h, alertAfter: 5m}}
---
apiVersion: openslo/v1
kind: AlertNotificationTarget
metadata: {name: on-call}
spec: {target: slack}
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: wake}
spec: {alertWhenNoData: true, conditions: [{conditionRef: fast}], notificationTargets: [{targetRef: on-call}]}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: availability}
spec:
  service: shop
  indicatorRef: requests
  timeWindow: [{duration: 1M, isRolling: false, calendar: {startTime: "2026-01-01 00:00:00", timeZone: Europe/Berlin}}]
  budgetingMethod: Timeslices
  objectives: [{target: 0.995, timeSliceTarget: 0.95, timeSliceWindow: 1}]
  alertPolicies: [{alertPolicyRef: wake}]
"""

NATIVE = """
slos:
  - {name: availability, service: shop, objective: 99.9, events: {total: all_total, good: good_total}}
  - name: fast
    service: shop
    objective: 99
    window: {calendar: quarter, zone: Europe/Berlin}
    latency: {within: 'd_bucket{le="0.3"}', total: d_count}
  - {name: native, service: shop, objective: 99, latency: {histogram: d, threshold: 300ms}, group_by: [route]}
  - {name: up, service: shop, objective: 99, probe: probe_success, method: timeslices, slice: 1m, slice_target: 95}
  - {name: lag, service: shop, objective: 99, threshold: {metric: lag, op: lt, value: 10}}
  - {name: seen, service: shop, objective: 99.5, seen: {element: "demo:shop:order", threshold: 250ms}}
"""
