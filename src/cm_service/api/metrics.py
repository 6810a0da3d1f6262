"""`/metrics` for Prometheus: counts and times, never a patient, a person or a URL."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest

router = APIRouter(tags=["operations"])
REGISTRY = CollectorRegistry()
CDS_SECONDS = Histogram(
    "cm_cds_seconds",
    "Time of a CDS Hooks call",
    ["service"],
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)
CDS_EMPTY = Counter(
    "cm_cds_empty_total", "Calls answered without cards", ["service", "why"], registry=REGISTRY
)


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
def metrics() -> Response:
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)
