"""Pure functions over Polars frames, one noun a file; none of them opens a file or knows an executor."""
