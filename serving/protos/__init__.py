"""Generated protobuf messages; regenerate with ``make protos``."""
