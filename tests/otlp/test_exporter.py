"""Programs instrumented with the real OpenTelemetry SDK, exporting over HTTP."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from app import clock
from app.model.series import Window
from collectors.otlp import OtlpCollector
from tests.support.otlp_http import served
from tests.support.spans import calls, edges, nodes


class Program:
    """One instrumented service."""

    def __init__(self, url, name, compression):
        exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces", compression=compression)
        self.provider = TracerProvider(
            resource=Resource.create(
                {"service.name": name, "service.namespace": "shop", "service.version": "1.0"}
            ),
            sampler=ALWAYS_ON,
            shutdown_on_exit=False,
        )
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self.provider.get_tracer("test")

    def span(self, name, kind, parent=None, **more):
        context = trace.set_span_in_context(parent) if parent is not None else None
        return self.tracer.start_as_current_span(name, context=context, kind=kind, **more)


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_programs_with_the_real_sdk_appear_with_their_calls(compression):
    collector = OtlpCollector("test")
    with served(collector) as url:
        shop, pay, mail = (Program(url, name, compression) for name in ("shop", "pay", "mail"))
        for number in range(3):
            play(shop, pay, mail, fails=number == 0)
        for program in (mail, pay, shop):  # callees first: children arrive before their parents
            assert program.provider.force_flush()
            program.provider.shutdown()
    now = clock.now()
    snapshot = collector.pull(Window(now, now))
    assert calls(snapshot) == {
        "user>shop": (3, 0),
        "shop>pay": (3, 1),
        "pay>postgresql@pg:5432": (3, 0),
        "shop>kafka/mails": (3, 0),
        "kafka/mails>mail": (3, 0),
    }
    assert {name: one["protocol"] for name, one in edges(snapshot).items()} == {
        "user>shop": "http",
        "shop>pay": "http",
        "pay>postgresql@pg:5432": "postgresql",
        "shop>kafka/mails": "messaging",
        "kafka/mails>mail": "messaging",
    }
    assert nodes(snapshot) == {"shop": (3, 0), "pay": (3, 1), "mail": (3, 0)}
    assert snapshot.notices == ()


def play(shop, pay, mail, *, fails):
    kafka = {"messaging.system": "kafka", "messaging.destination.name": "mails"}
    http = {"http.request.method": "POST", "http.response.status_code": 503 if fails else 200}
    with shop.span("POST /buy", SpanKind.SERVER, attributes={"http.request.method": "POST"}):
        with shop.span("POST", SpanKind.CLIENT, attributes={**http, "peer.service": "pay"}) as call:
            if fails:
                call.set_status(Status(StatusCode.ERROR))
            with pay.span("POST /charge", SpanKind.SERVER, call, attributes=http) as charge:
                if fails:
                    charge.set_status(Status(StatusCode.ERROR))
                store = {"db.system.name": "postgresql", "server.address": "pg", "server.port": 5432}
                with pay.span("INSERT", SpanKind.CLIENT, attributes=store):
                    pass
        sent = {**kafka, "messaging.operation.type": "send"}
        with shop.span("send mails", SpanKind.PRODUCER, attributes=sent) as message:
            link = Link(message.get_span_context())
    handled = {**kafka, "messaging.operation.type": "process"}
    with mail.span("process mails", SpanKind.CONSUMER, attributes=handled, links=[link]):
        pass


def test_a_program_that_does_nothing_but_internal_work_appears_too():
    collector = OtlpCollector("test")
    with served(collector) as url:
        program = Program(url, "job", Compression.Gzip)
        with program.span("work", SpanKind.INTERNAL):
            pass
        program.provider.shutdown()
    now = clock.now()
    assert nodes(collector.pull(Window(now, now))) == {"job": (0, 0)}


def test_the_sdk_gets_the_answer_it_understands_when_the_buffer_is_full():
    collector = OtlpCollector("test", max_spans=0)
    with served(collector) as url:
        exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces", timeout=1)
        program = Program(url, "job", Compression.Gzip)
        span = program.tracer.start_span("work")
        span.end()
        assert exporter.export([span]).name == "FAILURE"
        program.provider.shutdown()
    assert collector.totals["refused"] >= 1
    assert collector.totals["spans"] == 0
