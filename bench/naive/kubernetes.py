"""Pods as the official client gives them: typed models, page by page; typed watch events."""

from __future__ import annotations

import json

from kubernetes import client, watch


def list_pods(url: str) -> set[tuple[str, str]]:
    configuration = client.Configuration(host=url)
    with client.ApiClient(configuration) as api:
        core = client.CoreV1Api(api)
        found = set()
        token = None
        while True:
            page = core.list_pod_for_all_namespaces(limit=500, _continue=token)
            for pod in page.items:
                found.add((pod.metadata.namespace, pod.metadata.name))
            token = page.metadata._continue
            if not token:
                return found


def take_events(lines: list[bytes]) -> set[str]:
    stream = watch.Watch()
    return {stream.unmarshal_event(line.decode(), "V1Pod")["object"].metadata.name for line in lines}


def decode_plainly(lines: list[bytes]) -> set[str]:
    return {json.loads(line)["object"]["metadata"]["name"] for line in lines}
