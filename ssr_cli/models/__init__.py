"""The networks: depth, SVKR, AMF, restorer."""
