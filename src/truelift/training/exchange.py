"""The exchange between processes is a technique of its own, usable in anybody's loop."""

from truelift.techniques.exchange import BUCKET_BYTES, Exchange

__all__ = ["BUCKET_BYTES", "Exchange"]
