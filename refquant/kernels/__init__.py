"""The kernels: one function for each TFLite operator, grouped by family, and the table of rounding rules."""
