"""Charts of the pages: shapes computed without a drawing library, written as SVG."""
