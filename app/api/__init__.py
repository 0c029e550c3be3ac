"""The JSON edge: `/api/v1`, OTLP, liveness and metrics."""
