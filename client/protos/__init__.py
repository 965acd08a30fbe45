"""TensorFlow Serving's wire format as the client speaks it; see ``tunesmith_wire.proto``."""
