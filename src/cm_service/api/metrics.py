"""`/metrics` for Prometheus: counts and times, never a patient, a person or a URL."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest

from cm_service.api.doorway import doorway
from cm_service.api.stored_metrics import Stored

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
NOTIFICATIONS = Counter(
    "cm_notifications_total", "Notifications of an EMR", ["emr", "what"], registry=REGISTRY
)
HINTED = Counter(
    "cm_hinted_total", "What came of notifications: patients and hints", ["emr", "what"], registry=REGISTRY
)


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
def metrics(request: Request) -> Response:
    """What this process counted, and what stands in the store: nights run in other processes."""
    door, stored = doorway(request), CollectorRegistry()
    stored.register(Stored(door.store, door.database, door.clock()))
    text = generate_latest(REGISTRY) + generate_latest(stored)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
