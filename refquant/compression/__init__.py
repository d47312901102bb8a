"""Making models smaller: pruning and clustering as tfmot does them, and what a compressor makes of the result."""
