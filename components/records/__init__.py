"""Songs as TFRecords: written, read and cut into windows."""
